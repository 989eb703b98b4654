//! The agent on its way to the pods: immutable Secrets that hold its executable in parts.

use k8s_openapi::api::core::v1::Secret;

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
        todo!("{} {architectures:?}", executable.len())
    }

    /// The names of its Secrets, in the order of the parts.
    pub fn secret_names(&self) -> Vec<String> {
        todo!()
    }
}

/// The Secrets `skiff-agent-<hash>-<k>` that carry an executable.
pub fn agent_secrets(executable: &[u8]) -> Vec<Secret> {
    todo!("{}", executable.len())
}
