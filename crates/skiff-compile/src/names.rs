//! Names: what users type, and what Kubernetes accepts.

use thiserror::Error;

/// Who launches what, where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The cluster's name as the user typed it.
    pub cluster: String,
    /// The user's name.
    pub user: String,
    /// Eight hex digits made of it ([`user_hash`]).
    pub user_hash: String,
    /// The namespace.
    pub namespace: String,
    /// The kubeconfig context.
    pub context: String,
    /// Value of the owner's annotation `skiff.dev/launching` while a launch is under way.
    pub launching: Option<String>,
    /// The command line, for `status -v`.
    pub command: String,
}

/// A cluster's name in Kubernetes: at most 42 characters of a DNS label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterName(String);

/// A cluster name that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// It breaks the rule for cluster names.
    #[error("cluster name `{name}` is not valid")]
    Invalid {
        /// What was given.
        name: String,
    },
}

impl ClusterName {
    /// Makes the name as `SkyPilot` does: lower case, `._` to `-`, user hash appended, 42 at most.
    pub fn new(display: &str, user_hash: &str) -> Result<Self, NameError> {
        todo!("{display} {user_hash}")
    }

    /// The name of the owner Secret.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the pod of a rank: `<c>-head`, `<c>-worker1`…
    pub fn pod(&self, rank: u32) -> String {
        todo!("{rank}")
    }
}

/// Eight hex digits that stand for a user.
pub fn user_hash(user: &str) -> String {
    todo!("{user}")
}
