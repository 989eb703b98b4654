//! Why a volume cannot be as the user wants it, and what can be done about it.

use skiff_kube::ApiError;
use thiserror::Error;

/// Why a volume could not be made, changed or deleted.
#[derive(Debug, Error)]
pub enum VolumeError {
    /// The API server did not answer, or refused.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// There is a claim of its name that is no volume.
    #[error("there is a claim `{claim}` in namespace {namespace} already, and it is no volume")]
    NameTaken {
        /// The claim.
        claim: String,
        /// The namespace.
        namespace: String,
    },
    /// The claim belongs to a cluster.
    #[error("the claim `{claim}` is the home of a cluster and goes with it")]
    OfCluster {
        /// The claim.
        claim: String,
    },
    /// The claim is another volume already.
    #[error("the claim `{claim}` is the volume `{volume}` already")]
    OtherVolume {
        /// The claim.
        claim: String,
        /// What volume it is.
        volume: String,
    },
    /// There is no claim to take.
    #[error("there is no claim for the volume `{name}` in namespace {namespace}")]
    NoClaim {
        /// The volume.
        name: String,
        /// The namespace.
        namespace: String,
        /// The claims that there are.
        known: Vec<String>,
    },
    /// Several claims have the label that says which to take.
    #[error("several claims have the label skypilot-name={name}: {}", claims.join(", "))]
    SeveralClaims {
        /// The volume.
        name: String,
        /// The claims.
        claims: Vec<String>,
    },
    /// What is there has something else that cannot be changed.
    #[error("the volume `{name}` has {has}, and {wants} is asked for")]
    Differs {
        /// The volume.
        name: String,
        /// What it has.
        has: String,
        /// What is asked for.
        wants: String,
    },
    /// What is there is larger.
    #[error("the volume `{name}` has {has}, and {wants} is less: no storage shrinks")]
    Smaller {
        /// The volume.
        name: String,
        /// Its size.
        has: String,
        /// The size asked for.
        wants: String,
    },
    /// Its class does not let claims grow.
    #[error(
        "the volume `{name}` cannot grow from {has} to {wants}: its storage class {class} does not allow it"
    )]
    CannotGrow {
        /// The volume.
        name: String,
        /// Its size.
        has: String,
        /// The size asked for.
        wants: String,
        /// Its class.
        class: String,
    },
    /// It has no storage yet.
    #[error("the volume `{name}` cannot grow from {has} to {wants} before a pod has used it")]
    NotBound {
        /// The volume.
        name: String,
        /// Its size.
        has: String,
        /// The size asked for.
        wants: String,
    },
    /// There is no such storage class.
    #[error("there is no storage class `{class}`")]
    NoClass {
        /// The class asked for.
        class: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// No class was asked for, and the cluster has no default.
    #[error("the cluster has no default storage class, and the volume names none")]
    NoDefaultClass {
        /// Those that there are.
        known: Vec<String>,
    },
    /// It is being deleted.
    #[error("the volume `{name}` is being deleted{}", used_by(.pods))]
    Deleting {
        /// The volume.
        name: String,
        /// The pods that still use it.
        pods: Vec<String>,
    },
    /// Pods use it.
    #[error("the volume `{name}` is in use by {}", pods.join(", "))]
    InUse {
        /// The volume.
        name: String,
        /// The pods.
        pods: Vec<String>,
    },
}

fn used_by(pods: &[String]) -> String {
    if pods.is_empty() {
        String::new()
    } else {
        format!(", and still in use by {}", pods.join(", "))
    }
}

impl VolumeError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Api(error) => return error.hint(),
            Self::NameTaken { .. } => {
                "`use_existing: true` makes that claim the volume, as it is; else choose another name"
                    .to_owned()
            }
            Self::OfCluster { .. } => "choose another name".to_owned(),
            Self::OtherVolume { volume, .. } => {
                format!("`skiff volumes delete {volume}` gives it free, where it was taken by `use_existing`")
            }
            Self::NoClaim { known, .. } if known.is_empty() => {
                "the namespace has no claims at all; without `use_existing` one is made".to_owned()
            }
            Self::SeveralClaims { .. } => {
                "name the volume as the claim that you mean".to_owned()
            }
            Self::Differs { name, .. } => format!(
                "a claim keeps what it was made with: choose another name, or `skiff volumes delete {name}`, which deletes its data too"
            ),
            Self::Smaller { has, .. } => format!("write `size: {has}`, or choose another name"),
            Self::CannotGrow { class, .. } => format!(
                "the administrator can allow it: `kubectl patch storageclass {class} -p '{{\"allowVolumeExpansion\": true}}'`, if its \
                 provisioner can do it; else make a larger volume of another name"
            ),
            Self::NotBound { name, .. } => format!(
                "there is no data on it: `skiff volumes delete {name}`, then apply again"
            ),
            Self::NoClass { known, .. } | Self::NoDefaultClass { known } if known.is_empty() => {
                "the cluster has no storage classes: its administrator must make one".to_owned()
            }
            Self::NoClaim { known, .. } | Self::NoClass { known, .. } => {
                format!("there are: {}", known.join(", "))
            }
            Self::NoDefaultClass { known } => format!(
                "write one as `config.storage_class_name`; there are: {}",
                known.join(", ")
            ),
            Self::Deleting { .. } => "try again when it is gone".to_owned(),
            Self::InUse { .. } => {
                "take down what uses it first; `--purge` has Kubernetes delete it when those pods have ended"
                    .to_owned()
            }
        })
    }
}
