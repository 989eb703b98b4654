//! What the owner Secret remembers of a cluster.

use k8s_openapi::api::core::v1::Secret;
use serde::{Deserialize, Serialize};
use skiff_schema::DockerMode;
use thiserror::Error;

/// What any machine learns of a cluster from its owner Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRecord {
    /// Version of this record's form.
    pub format: u32,
    /// The cluster's name as the user typed it.
    pub name: String,
    /// Who launched it.
    pub user: String,
    /// The task's name.
    #[serde(default)]
    pub task: Option<String>,
    /// The command line that launched it.
    #[serde(default)]
    pub command: String,
    /// What tables show: `1x(cpus=2, mem=2)`.
    pub resources: String,
    /// Number of nodes.
    pub num_nodes: u32,
    /// The image of the task container.
    pub image: String,
    /// Which Docker it has.
    #[serde(default)]
    pub docker: DockerMode,
    /// The agent's build.
    pub agent: String,
    /// The protocol that its agent speaks.
    pub protocol: u16,
}

/// A Secret that holds no readable record.
#[derive(Debug, Error)]
pub enum RecordError {
    /// It has no key `record.json`.
    #[error("secret `{secret}` holds no `record.json`")]
    Missing {
        /// The Secret's name.
        secret: String,
    },
    /// Its key `record.json` is not a record.
    #[error("`record.json` of secret `{secret}` cannot be read")]
    Malformed {
        /// The Secret's name.
        secret: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A newer Skiff wrote it.
    #[error("secret `{secret}` was written by a newer version of Skiff (format {format})")]
    Newer {
        /// The Secret's name.
        secret: String,
        /// Its format.
        format: u32,
    },
}

impl ClusterRecord {
    /// Reads the record of an owner Secret.
    pub fn from_secret(secret: &Secret) -> Result<Self, RecordError> {
        todo!("{secret:?}")
    }
}
