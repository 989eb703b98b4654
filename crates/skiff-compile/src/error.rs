//! Why a task cannot become Kubernetes objects.

use thiserror::Error;

use crate::NameError;

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
    #[error("no node is large enough for {cpus} CPUs and {memory} GB of memory:{table}")]
    TooLarge {
        /// How many CPUs were asked for.
        cpus: String,
        /// How many gigabytes were asked for.
        memory: String,
        /// One line a node.
        table: String,
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
            Self::TooLarge { .. } => {
                "ask for less with --cpus and --memory, or choose another context".to_owned()
            }
        })
    }
}
