//! The agent on its way to the pods: immutable Secrets that hold its executable in parts.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::labels;

/// Bytes of the executable in one Secret: Kubernetes allows 1 MiB of data.
const PART: usize = 960 * 1024;

/// One build of the agent, as delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentBuild {
    /// Sixteen hex digits of its content.
    pub hash: String,
    /// How many Secrets hold it.
    pub parts: usize,
    /// The architectures it runs on, in Kubernetes' words.
    pub architectures: Vec<String>,
}

impl AgentBuild {
    /// Describes an executable for these architectures.
    pub fn of(executable: &[u8], architectures: &[&str]) -> Self {
        Self {
            hash: blake3::hash(executable).to_hex()[..16].to_owned(),
            parts: executable.len().div_ceil(PART),
            architectures: architectures.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    /// The names of its Secrets, in the order of the parts.
    pub fn secret_names(&self) -> Vec<String> {
        (0..self.parts)
            .map(|part| format!("skiff-agent-{}-{part}", self.hash))
            .collect()
    }
}

/// The Secrets `skiff-agent-<hash>-<k>` that carry an executable, without a namespace: they belong
/// to no cluster and have no owner, every cluster of a namespace shares them.
pub fn agent_secrets(executable: &[u8]) -> Vec<Secret> {
    let build = AgentBuild::of(executable, &[]);
    let names = build.secret_names();
    let parts = executable.chunks(PART).zip(names).enumerate();
    parts
        .map(|(index, (bytes, name))| part(&build.hash, index, name, bytes))
        .collect()
}

fn part(hash: &str, index: usize, name: String, bytes: &[u8]) -> Secret {
    let labels = [(labels::MANAGED_BY, labels::SKIFF), (labels::AGENT, hash)];
    Secret {
        metadata: ObjectMeta {
            name: Some(name),
            labels: Some(
                labels
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
            ),
            ..ObjectMeta::default()
        },
        immutable: Some(true),
        // Two digits, so that the names sort as the parts do.
        data: Some(BTreeMap::from([(
            format!("{index:02}"),
            ByteString(bytes.to_vec()),
        )])),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests {
    use super::{AgentBuild, PART, agent_secrets};

    #[test]
    fn parts_in_name_order_restore_the_executable() {
        let executable: Vec<u8> = (0..=250).cycle().take(PART * 11 + 5).collect();
        let build = AgentBuild::of(&executable, &["amd64"]);
        let secrets = agent_secrets(&executable);
        let names: Vec<_> = secrets
            .iter()
            .filter_map(|s| s.metadata.name.clone())
            .collect();
        assert_eq!(names, build.secret_names());
        let mut parts: Vec<_> = secrets
            .into_iter()
            .flat_map(|secret| secret.data.unwrap_or_default())
            .collect();
        parts.sort_by(|left, right| left.0.cmp(&right.0));
        let restored: Vec<u8> = parts.into_iter().flat_map(|(_, bytes)| bytes.0).collect();
        assert_eq!(restored, executable);
    }
}
