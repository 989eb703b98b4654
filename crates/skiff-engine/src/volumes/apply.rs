//! Makes a volume, or brings one that is there to what its file says.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use skiff_compile::labels;
use skiff_kube::{ApiError, Cluster};
use skiff_schema::{ClaimKind, Volume, VolumeKind};

use super::{Phase, VolumeError, claim, usage};
use crate::User;

/// Annotations of the class that claims get which name none.
const DEFAULT_CLASS: [&str; 2] = [
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
];

/// A volume that was thought through; nothing has changed yet.
#[derive(Clone, Debug)]
pub struct VolumePlan {
    volume: Volume,
    user: User,
    /// What there is to do.
    pub change: VolumeChange,
    /// What could not be found out, one sentence each.
    pub notes: Vec<String>,
}

/// What there is to do for a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeChange {
    /// A claim is made.
    Create {
        /// Its size, as Kubernetes writes it.
        size: String,
        /// The class that it names.
        class: Option<String>,
    },
    /// A claim that is there becomes the volume.
    Take {
        /// The claim.
        claim: String,
    },
    /// The claim grows.
    Resize {
        /// The claim.
        claim: String,
        /// Its size.
        from: String,
        /// The size that it gets.
        to: String,
    },
    /// Labels are set.
    Label {
        /// The claim.
        claim: String,
    },
    /// All is as it should be.
    Nothing,
}

/// Finds what there is to do for a volume; the cluster's namespace is the volume's.
pub async fn plan_volume(
    cluster: &Cluster,
    volume: Volume,
    user: User,
) -> Result<VolumePlan, VolumeError> {
    let VolumeKind::Claim(wanted) = &volume.kind;
    let mut notes = Vec::new();
    let change = match own_claim(cluster, &volume.name).await? {
        Some(there) => change_of(cluster, &volume, wanted, &there).await?,
        None if wanted.use_existing => take(cluster, &volume, wanted).await?,
        None => {
            check_name_is_free(cluster, &volume.name).await?;
            check_class(cluster, wanted, &mut notes).await?;
            VolumeChange::Create {
                size: wanted.bytes.map(claim::size_text).unwrap_or_default(),
                class: wanted.storage_class.clone(),
            }
        }
    };
    Ok(VolumePlan {
        volume,
        user,
        change,
        notes,
    })
}

/// Does what was planned.
pub async fn apply_volume(cluster: &Cluster, plan: &VolumePlan) -> Result<(), VolumeError> {
    let VolumePlan { volume, user, .. } = plan;
    let VolumeKind::Claim(wanted) = &volume.kind;
    let patch = async |name: &str, patch: serde_json::Value| {
        let patched = cluster.patch::<PersistentVolumeClaim>(name, &patch).await;
        patched.map(drop)
    };
    let label = || serde_json::json!({ "metadata": { "labels": volume.labels } });
    match &plan.change {
        VolumeChange::Create { .. } => {
            let made = cluster.create(&claim::new(volume, wanted, user)).await;
            match made {
                // Somebody else has applied the same in the same moment.
                Err(error) if error.is_conflict() => {
                    if own_claim(cluster, &volume.name).await?.is_none() {
                        return Err(error.into());
                    }
                }
                result => drop(result?),
            }
        }
        VolumeChange::Take { claim } => patch(claim, claim::taken(volume, user)).await?,
        VolumeChange::Resize { claim, .. } => {
            let bytes = wanted.bytes.unwrap_or_default();
            patch(claim, claim::resized(bytes)).await?;
            if !volume.labels.is_empty() {
                patch(claim, label()).await?;
            }
        }
        VolumeChange::Label { claim } => patch(claim, label()).await?,
        VolumeChange::Nothing => {}
    }
    Ok(())
}

/// The claim that is this volume.
async fn own_claim(
    cluster: &Cluster,
    name: &str,
) -> Result<Option<PersistentVolumeClaim>, ApiError> {
    let own = format!("{}={name}", labels::VOLUME);
    let claims = cluster.list::<PersistentVolumeClaim>(&own).await?;
    Ok(claims.into_iter().next())
}

async fn check_name_is_free(cluster: &Cluster, name: &str) -> Result<(), VolumeError> {
    let Some(there) = cluster.get::<PersistentVolumeClaim>(name).await? else {
        return Ok(());
    };
    check_is_free(&there)?;
    Err(VolumeError::NameTaken {
        claim: name.to_owned(),
        namespace: cluster.namespace.clone(),
    })
}

/// Whether a claim is neither a cluster's nor another volume.
fn check_is_free(there: &PersistentVolumeClaim) -> Result<(), VolumeError> {
    let claim = claim::name(there).to_owned();
    if claim::label(there, labels::CLUSTER).is_some() {
        return Err(VolumeError::OfCluster { claim });
    }
    match claim::label(there, labels::VOLUME) {
        Some(volume) => Err(VolumeError::OtherVolume {
            claim,
            volume: volume.to_owned(),
        }),
        None => Ok(()),
    }
}

/// Finds the claim that is to become the volume: by its name, or by `SkyPilot`'s label.
async fn take(
    cluster: &Cluster,
    volume: &Volume,
    wanted: &ClaimKind,
) -> Result<VolumeChange, VolumeError> {
    let all = cluster.list::<PersistentVolumeClaim>("").await?;
    let named = all.iter().find(|it| claim::name(it) == volume.name);
    let of_skypilot = |it: &&PersistentVolumeClaim| {
        claim::label(it, labels::SKYPILOT_VOLUME) == Some(volume.name.as_str())
    };
    let labelled: Vec<&PersistentVolumeClaim> = all.iter().filter(of_skypilot).collect();
    let found = match (named, labelled.as_slice()) {
        (Some(named), _) => named,
        (None, [only]) => only,
        (None, []) => {
            let free = all.iter().filter(|it| check_is_free(it).is_ok());
            return Err(VolumeError::NoClaim {
                name: volume.name.clone(),
                namespace: cluster.namespace.clone(),
                known: free.map(|it| claim::name(it).to_owned()).collect(),
            });
        }
        (None, several) => {
            let claims = several.iter().map(|it| claim::name(it).to_owned());
            return Err(VolumeError::SeveralClaims {
                name: volume.name.clone(),
                claims: claims.collect(),
            });
        }
    };
    check_is_free(found)?;
    check_kept(&volume.name, wanted, found)?;
    check_size_of_taken(&volume.name, wanted, found)?;
    Ok(VolumeChange::Take {
        claim: claim::name(found).to_owned(),
    })
}

/// What there is to do for a volume that is there.
async fn change_of(
    cluster: &Cluster,
    volume: &Volume,
    wanted: &ClaimKind,
    there: &PersistentVolumeClaim,
) -> Result<VolumeChange, VolumeError> {
    let name = volume.name.clone();
    if Phase::of(there) == Phase::Deleting {
        let pods = cluster.list::<Pod>("").await.unwrap_or_default();
        let pods = usage::names(usage::users(there, &pods));
        return Err(VolumeError::Deleting { name, pods });
    }
    check_kept(&name, wanted, there)?;
    let claim = claim::name(there).to_owned();
    if claim::annotation(there, labels::EXISTING).is_some() {
        check_size_of_taken(&name, wanted, there)?;
    } else if let (Some(has), Some(wants)) = (claim::requested_bytes(there), wanted.bytes)
        && has != wants
    {
        let (from, to) = (size_of(there), claim::size_text(wants));
        check_growth(cluster, &name, there, (has, wants)).await?;
        return Ok(VolumeChange::Resize { claim, from, to });
    }
    let mut labels = volume.labels.iter();
    if labels.all(|(key, value)| claim::label(there, key) == Some(value)) {
        Ok(VolumeChange::Nothing)
    } else {
        Ok(VolumeChange::Label { claim })
    }
}

/// The size that a claim asks for, in its own words.
fn size_of(there: &PersistentVolumeClaim) -> String {
    claim::requested(there).map_or_else(|| "no size".to_owned(), |size| size.0.clone())
}

/// Finds what is asked for in vain, because a claim keeps it for ever.
fn check_kept(
    name: &str,
    wanted: &ClaimKind,
    there: &PersistentVolumeClaim,
) -> Result<(), VolumeError> {
    let differs = |has: String, wants: String| {
        Err(VolumeError::Differs {
            name: name.to_owned(),
            has,
            wants,
        })
    };
    let modes = claim::access_modes(there);
    let is_taken = wanted.use_existing || claim::annotation(there, labels::EXISTING).is_some();
    let mode = wanted.access_mode;
    if let Some(mode) = mode.or_else(|| (!is_taken).then(|| wanted.mode_of_new()))
        && !modes.iter().any(|has| has == mode)
    {
        let has = format!("the access mode {}", modes.join(", "));
        return differs(has, mode.to_owned());
    }
    if let Some(wants) = &wanted.storage_class
        && claim::class(there) != Some(wants)
    {
        let named = |class: &str| match class {
            "" => "no storage class".to_owned(),
            class => format!("the storage class {class}"),
        };
        return differs(named(claim::class(there).unwrap_or("")), named(wants));
    }
    Ok(())
}

/// A claim that is not Skiff's is left as large as it is: what is asked for must be there.
fn check_size_of_taken(
    name: &str,
    wanted: &ClaimKind,
    there: &PersistentVolumeClaim,
) -> Result<(), VolumeError> {
    match (claim::requested_bytes(there), wanted.bytes) {
        (Some(has), Some(wants)) if has < wants => Err(VolumeError::Differs {
            name: name.to_owned(),
            has: size_of(there),
            wants: claim::size_text(wants),
        }),
        _ => Ok(()),
    }
}

/// Whether a claim can be made larger. A class that may not be read is left to the API server.
async fn check_growth(
    cluster: &Cluster,
    name: &str,
    there: &PersistentVolumeClaim,
    (has, wants): (u64, u64),
) -> Result<(), VolumeError> {
    let name = name.to_owned();
    let (has_text, wants_text) = (size_of(there), claim::size_text(wants));
    if wants < has {
        return Err(VolumeError::Smaller {
            name,
            has: has_text,
            wants: wants_text,
        });
    }
    if Phase::of(there) != Phase::Bound {
        return Err(VolumeError::NotBound {
            name,
            has: has_text,
            wants: wants_text,
        });
    }
    let class = claim::class(there).unwrap_or_default();
    let known = match class {
        "" => None,
        class => cluster.storage_class(class).await.ok().flatten(),
    };
    let may_grow = known.map(|class| class.allow_volume_expansion.unwrap_or(false));
    if class.is_empty() || may_grow == Some(false) {
        let class = if class.is_empty() { "(none)" } else { class };
        return Err(VolumeError::CannotGrow {
            name,
            has: has_text,
            wants: wants_text,
            class: class.to_owned(),
        });
    }
    Ok(())
}

/// Whether there is a class for a new claim. Classes that may not be read are unknown: the claim itself will tell.
async fn check_class(
    cluster: &Cluster,
    wanted: &ClaimKind,
    notes: &mut Vec<String>,
) -> Result<(), VolumeError> {
    let wanted = wanted.storage_class.as_deref();
    if wanted == Some("") {
        return Ok(());
    }
    let classes = match cluster.storage_classes().await {
        Ok(classes) => classes,
        Err(error) if error.is_forbidden() => {
            let what = match wanted {
                Some(class) => format!("there is a storage class `{class}`"),
                None => "the cluster has a default storage class".to_owned(),
            };
            notes.push(format!(
                "you may not read storage classes, so it is not known whether {what}: `skiff volumes ls` shows what becomes of the volume"
            ));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let known = || {
        let names = classes.iter();
        names
            .filter_map(|class| class.metadata.name.clone())
            .collect()
    };
    match wanted {
        Some(class) => {
            let mut names = classes.iter().map(|class| class.metadata.name.as_deref());
            if names.any(|name| name == Some(class)) {
                return Ok(());
            }
            Err(VolumeError::NoClass {
                class: class.to_owned(),
                known: known(),
            })
        }
        None if classes.iter().any(is_default) => Ok(()),
        None => Err(VolumeError::NoDefaultClass { known: known() }),
    }
}

/// Whether claims that name no class get this one.
pub(crate) fn is_default(class: &StorageClass) -> bool {
    let annotations = class.metadata.annotations.as_ref();
    DEFAULT_CLASS.iter().any(|key| {
        let value = annotations.and_then(|all| all.get(*key));
        value.is_some_and(|value| value == "true")
    })
}
