//! The pure compiler: (task, configuration, facts of the cluster) to Kubernetes objects.
//!
//! Same input, same output, byte for byte. Must not touch the file system, the environment, the
//! clock or the network; facts and identities come as arguments.

mod agent;
mod error;
mod facts;
pub mod labels;
mod names;
mod plan;
mod record;

use skiff_schema::{KubernetesConfig, ResolvedTask};

pub use agent::{AgentBuild, agent_secrets};
pub use error::CompileError;
pub use facts::{Amounts, ClusterFacts, NodeFacts, Version};
pub use names::{ClusterName, Ids, NameError, user_hash};
pub use plan::Plan;
pub use record::{ClusterRecord, RecordError};

/// Everything that decides a plan.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The task.
    pub task: &'a ResolvedTask,
    /// The configuration for the context, the task's own `config:` applied (`Config::for_task`).
    pub config: &'a KubernetesConfig,
    /// What is known of the Kubernetes cluster.
    pub facts: &'a ClusterFacts,
    /// Who launches what, where.
    pub ids: &'a Ids,
    /// The agent that travels to the pods.
    pub agent: &'a AgentBuild,
}

/// Turns a task into Kubernetes objects.
pub fn compile(input: &Input<'_>) -> Result<Plan, CompileError> {
    todo!("{input:?}")
}
