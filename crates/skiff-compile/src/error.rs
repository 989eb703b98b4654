//! Why a task cannot become Kubernetes objects.

use thiserror::Error;

use crate::{DockerError, NameError};

/// Why a task cannot become Kubernetes objects on this cluster.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CompileError {
    /// The cluster's name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No node runs Linux on an architecture of the agent.
    #[error("no node runs Linux on {architectures}, for which this build has an agent:{table}")]
    NoEligibleNode {
        /// What the agent runs on.
        architectures: String,
        /// One line a node.
        table: String,
    },
    /// No node is large enough.
    #[error("no node is large enough for {cpus} CPUs and {memory} GB of memory{beside}:{table}")]
    TooLarge {
        /// How many CPUs were asked for.
        cpus: String,
        /// How many gigabytes were asked for.
        memory: String,
        /// What the sidecar asks for beside them; empty: nothing.
        beside: String,
        /// One line a node.
        table: String,
    },
    /// The configuration allows none of the nodes.
    #[error("`kubernetes.allowed_nodes` allows none of the nodes:{table}")]
    NoAllowedNode {
        /// One line a node.
        table: String,
    },
    /// Addresses of nodes that may not be read.
    #[error(
        "`kubernetes.allowed_nodes.ips` names nodes by address, and the nodes may not be listed"
    )]
    AddressesUnknown,
    /// The runtime class is not there.
    #[error("there is no RuntimeClass `{name}`, which `pod_config.spec.runtimeClassName` names")]
    NoRuntimeClass {
        /// Its name.
        name: String,
    },
    /// The task cannot have the Docker that it asks for.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// The configuration changes what makes the pod a Skiff pod.
    #[error("`pod_config` cannot change {field}: {why}")]
    Reserved {
        /// The field.
        field: String,
        /// Why it must stay.
        why: &'static str,
    },
    /// What the configuration makes of the pod is none.
    #[error("with `pod_config` this is no pod: {why}")]
    NoPod {
        /// What is wrong with it.
        why: String,
    },
}

impl CompileError {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Name(error) => error.hint(),
            Self::NoEligibleNode { architectures, .. } => {
                format!("choose a context whose nodes run Linux on {architectures}")
            }
            Self::TooLarge { beside, .. } if !beside.is_empty() => {
                "ask for less with --cpus and --memory, or in `enable_docker.resources`, or choose another context"
                    .to_owned()
            }
            Self::TooLarge { .. } => {
                "ask for less with --cpus and --memory, or choose another context".to_owned()
            }
            Self::NoAllowedNode { .. } => {
                "correct the names and addresses there, or add a label of the nodes".to_owned()
            }
            Self::NoRuntimeClass { .. } => "`kubectl get runtimeclasses` shows those that there are".to_owned(),
            Self::Docker(error) => return error.hint(),
            Self::AddressesUnknown => {
                "name the nodes, or a label of theirs; or ask for the right to list nodes"
                    .to_owned()
            }
            Self::Reserved { .. } | Self::NoPod { .. } => {
                "`skiff render` without it shows the pod that it changes".to_owned()
            }
        })
    }
}
