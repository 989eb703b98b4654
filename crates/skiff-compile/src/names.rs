//! Names: what users type, and what Kubernetes accepts.

use std::fmt;

use serde::{Deserialize, Serialize};
use skiff_proto::ClusterKey;
use thiserror::Error;

/// The longest name: with `-worker<n>` it still is a DNS label.
const MAX_LENGTH: usize = 42;
/// Letters of the hash that replaces the end of a name that is too long.
const HASH_LENGTH: usize = 6;

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
    /// The key of a cluster that is new; one that is there keeps its own.
    pub key: ClusterKey,
}

/// A cluster's name in Kubernetes: at most 42 characters of a DNS label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterName(String);

/// A cluster name that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// It breaks the rule for cluster names.
    #[error("`{name}` is not a valid name of a cluster")]
    Invalid {
        /// What was given.
        name: String,
    },
}

impl NameError {
    /// What a valid name looks like.
    pub fn hint(&self) -> String {
        "begin with a letter, end with a letter or digit, and use letters, digits, `-`, `_` and `.`"
            .to_owned()
    }
}

impl ClusterName {
    /// Makes the name as `SkyPilot` does: lower case, `._` to `-`, user hash appended, 42 at most.
    pub fn new(display: &str, user_hash: &str) -> Result<Self, NameError> {
        if !is_cluster_name(display) {
            return Err(NameError::Invalid {
                name: display.to_owned(),
            });
        }
        let plain = display.to_lowercase().replace(['.', '_'], "-");
        let room = MAX_LENGTH.saturating_sub(user_hash.len() + 1);
        if plain.len() <= room {
            return Ok(Self(format!("{plain}-{user_hash}")));
        }
        let hash = blake3::hash(display.as_bytes()).to_hex();
        let kept = plain[..room.saturating_sub(HASH_LENGTH + 1)].trim_end_matches('-');
        Ok(Self(format!("{kept}-{}-{user_hash}", &hash[..HASH_LENGTH])))
    }

    /// The name of the owner Secret.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the pod of a rank: `<c>-head`, `<c>-worker1`…
    pub fn pod(&self, rank: u32) -> String {
        match rank {
            0 => format!("{}-head", self.0),
            rank => format!("{}-worker{rank}", self.0),
        }
    }

    /// The name of the claim of a rank's home.
    pub(crate) fn home(&self, rank: u32) -> String {
        format!("{}-home", self.pod(rank))
    }

    /// The name of the claim of a rank's disk for Docker.
    pub(crate) fn docker_disk(&self, rank: u32) -> String {
        format!("{}-docker", self.pod(rank))
    }

    /// The name of the Secret with the login of a registry.
    pub(crate) fn registry(&self) -> String {
        format!("{}-registry", self.0)
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Eight hex digits that stand for a user.
pub fn user_hash(user: &str) -> String {
    blake3::hash(user.as_bytes()).to_hex()[..8].to_owned()
}

/// `[a-zA-Z]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?`
fn is_cluster_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.ends_with(|last: char| last.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.'))
}

#[cfg(test)]
mod tests {
    use super::{ClusterName, user_hash};

    #[test]
    fn names_become_labels() {
        let name = |display| ClusterName::new(display, "0123abcd").map(|name| name.0);
        assert_eq!(name("dev").as_deref(), Ok("dev-0123abcd"));
        assert_eq!(name("My_Train.v2").as_deref(), Ok("my-train-v2-0123abcd"));
        for wrong in ["", "1dev", "-dev", "dev-", "dev.", "a b", "é", "a/b", "a\n"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let long = "a-very-long-name-of-a-cluster-of-mine";
        let one = ClusterName::new(&format!("{long}-one"), "0123abcd").expect("valid");
        let two = ClusterName::new(&format!("{long}-two"), "0123abcd").expect("valid");
        assert_ne!(one, two);
        assert!(
            one.as_str().len() <= 42 && one.as_str().ends_with("-0123abcd"),
            "{one}"
        );
        assert!(one.pod(999).len() <= 63);
    }

    #[test]
    fn a_user_hash_is_eight_hex_digits() {
        let hash = user_hash("alice");
        assert_eq!(hash.len(), 8);
        assert!(hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(hash, user_hash("bob"));
    }
}
