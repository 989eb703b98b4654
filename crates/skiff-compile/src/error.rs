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
    #[error("no node of this cluster can run the agent")]
    NoEligibleNode {
        /// One line a node.
        table: String,
    },
    /// No node is large enough.
    #[error("no node is large enough")]
    TooLarge {
        /// One line a node.
        table: String,
    },
}

impl CompileError {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        todo!()
    }
}
