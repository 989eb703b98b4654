//! One stage of a job on one node.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{JobId, SecretVariables};

/// What people call the node of this rank.
pub fn node_name(rank: u32) -> String {
    match rank {
        0 => "head".to_owned(),
        rank => format!("worker{rank}"),
    }
}

/// Which of a job's two commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageKind {
    /// Its setup.
    Setup,
    /// Its run command.
    Run,
}

/// What a node is to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageOrder {
    /// The job.
    pub job: JobId,
    /// Setup or run.
    pub kind: StageKind,
    /// The mark of the job's processes: the identity of the head's agent and the job's number.
    pub mark: String,
    /// Shell text.
    pub script: String,
    /// Variables: Skiff's for this node, and the user's own. They go over those that the node has by itself.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Variables that nobody may see; they win over `env`.
    #[serde(default)]
    pub secrets: SecretVariables,
}

/// How a stage ended on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageEnd {
    /// Its process's exit code; 128 + n where signal n killed it.
    pub code: i32,
    /// Why it failed, where the node knows more than the code: one lower-case fragment.
    #[serde(default)]
    pub cause: Option<String>,
}
