//! The name of a local cluster.
//!
//! Validation only; what is derived from a name is the business of [`crate::Layout`].

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest name: node names, context names and log folders are made of it.
const MAX_LENGTH: usize = 30;

/// The name of a local cluster: a DNS label of at most 30 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterName(String);

/// Why a text is not the name of a local cluster.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// The name is empty or longer than 30 characters.
    #[error("cluster name {0:?} has {len} characters, 1 to {MAX_LENGTH} are allowed", len = .0.len())]
    Length(String),
    /// The name has a character that a DNS label may not have at that place.
    #[error(
        "cluster name {0:?} is not a DNS label: use lower-case letters, digits and '-', \
         with a letter first and no '-' at the end"
    )]
    NotALabel(String),
}

impl ClusterName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the cluster's context, cluster and user in a kubeconfig.
    pub fn context(&self) -> String {
        format!("skiff-{}", self.0)
    }
}

impl Default for ClusterName {
    fn default() -> Self {
        Self("local".to_owned())
    }
}

impl FromStr for ClusterName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || text.len() > MAX_LENGTH {
            return Err(NameError::Length(text.to_owned()));
        }
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let valid = text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-')
            && text.chars().all(inner);
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::NotALabel(text.to_owned()))
        }
    }
}

impl TryFrom<String> for ClusterName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<ClusterName> for String {
    fn from(name: ClusterName) -> Self {
        name.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_accepted() {
        for name in ["local", "a", "e2e-1", "x9"] {
            assert_eq!(name.parse::<ClusterName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for name in [
            "",
            "A",
            "-a",
            "a-",
            "1a",
            "a_b",
            "a.b",
            "../x",
            "ä",
            &"a".repeat(31),
        ] {
            assert!(name.parse::<ClusterName>().is_err(), "{name}");
        }
    }

    #[test]
    fn the_context_carries_the_product() {
        assert_eq!(ClusterName::default().context(), "skiff-local");
    }
}
