//! What an agent that takes its cluster down by itself needs to make it vanish wholly.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The right to delete one object: the Secret that owns the agent's cluster, and with it all the rest.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerAccess {
    /// The Secret's namespace.
    pub namespace: String,
    /// The Secret's name.
    pub secret: String,
    /// The Secret's uid: a later one of its name is another cluster.
    pub uid: String,
    /// Who holds it may delete that Secret, and nothing else.
    pub token: String,
    /// The certificates by which the API server is known to pods, as PEM.
    pub authority: String,
}

/// Nobody sees the token.
impl fmt::Debug for OwnerAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnerAccess")
            .field("namespace", &self.namespace)
            .field("secret", &self.secret)
            .field("uid", &self.uid)
            .finish_non_exhaustive()
    }
}
