//! What the owner Secret remembers of a cluster.

use k8s_openapi::api::core::v1::Secret;
use serde::{Deserialize, Serialize};
use skiff_schema::DockerMode;
use thiserror::Error;

use crate::labels;

/// The form of record that this version writes.
pub(crate) const FORMAT: u32 = 1;

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
    /// Hash of the `pod_config` that its pods were made with; None: there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_config: Option<String>,
    /// The size of each node's home, where that is a volume of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home_volume: Option<String>,
    /// The agent's build.
    pub agent: String,
    /// The protocol that its agent speaks.
    pub protocol: u16,
}

/// A Secret that holds no readable record.
#[derive(Debug, Error)]
pub enum RecordError {
    /// It lacks a part.
    #[error("secret `{secret}` holds no `{key}`")]
    Missing {
        /// The Secret's name.
        secret: String,
        /// The part.
        key: &'static str,
    },
    /// A part is not what it must be.
    #[error("`{key}` of secret `{secret}` cannot be read")]
    Malformed {
        /// The Secret's name.
        secret: String,
        /// The part.
        key: &'static str,
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

/// As much of a record as every version has.
#[derive(Deserialize)]
struct Form {
    format: u32,
}

impl ClusterRecord {
    /// Reads the record of an owner Secret, as a cluster holds it or as a plan makes it.
    pub fn from_secret(secret: &Secret) -> Result<Self, RecordError> {
        let json = stored(secret, labels::RECORD_KEY)?;
        let malformed = |source| RecordError::malformed(secret, labels::RECORD_KEY, source);
        let Form { format } = serde_json::from_slice(json).map_err(malformed)?;
        if format > FORMAT {
            return Err(RecordError::Newer {
                secret: name(secret),
                format,
            });
        }
        serde_json::from_slice(json).map_err(malformed)
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a record is always valid JSON")
    }
}

impl RecordError {
    pub(crate) fn malformed(secret: &Secret, key: &'static str, source: serde_json::Error) -> Self {
        Self::Malformed {
            secret: name(secret),
            key,
            source,
        }
    }
}

/// What a Secret holds under a key, whether it comes from a cluster or from a plan.
pub(crate) fn stored<'a>(secret: &'a Secret, key: &'static str) -> Result<&'a [u8], RecordError> {
    let stored = secret.data.as_ref().and_then(|data| data.get(key));
    let planned = secret.string_data.as_ref().and_then(|data| data.get(key));
    let json = stored
        .map(|bytes| bytes.0.as_slice())
        .or(planned.map(String::as_bytes));
    json.ok_or_else(|| RecordError::Missing {
        secret: name(secret),
        key,
    })
}

fn name(secret: &Secret) -> String {
    secret.metadata.name.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::ByteString;

    use super::{ClusterRecord, FORMAT, RecordError, Secret, labels};

    fn secret(json: &str) -> Secret {
        let record = ByteString(json.as_bytes().to_vec());
        let data = BTreeMap::from([(labels::RECORD_KEY.to_owned(), record)]);
        Secret {
            data: Some(data),
            ..Secret::default()
        }
    }

    #[test]
    fn a_record_survives_its_secret() {
        let json = r#"{"format":1,"name":"dev","user":"me","resources":"1x(cpus=2, mem=2)",
            "num_nodes":1,"image":"debian:12","agent":"00","protocol":1,"later":true}"#;
        let record = ClusterRecord::from_secret(&secret(json)).expect("readable");
        assert_eq!(record.name, "dev");
        let planned = BTreeMap::from([(labels::RECORD_KEY.to_owned(), record.to_json())]);
        let planned = Secret {
            string_data: Some(planned),
            ..Secret::default()
        };
        let again = ClusterRecord::from_secret(&planned).expect("readable");
        assert_eq!(again, record);
    }

    #[test]
    fn what_is_no_record_is_told_apart() {
        let read = |json: &str| ClusterRecord::from_secret(&secret(json)).expect_err("no record");
        assert!(matches!(read("{"), RecordError::Malformed { .. }));
        let newer = format!("{{\"format\":{},\"name\":[]}}", FORMAT + 1);
        assert!(matches!(read(&newer), RecordError::Newer { .. }));
        let missing = ClusterRecord::from_secret(&Secret::default()).expect_err("no record");
        assert!(matches!(missing, RecordError::Missing { .. }));
    }
}
