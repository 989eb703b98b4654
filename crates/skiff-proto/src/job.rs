//! Jobs: what a user submits and what the agent remembers of it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A job's number within its cluster, counted from 1.
pub type JobId = u64;

/// One job to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Made by the client, unique: submitting the same one twice gives the same job, so that a
    /// submission whose answer was lost can be sent again.
    pub submission: String,
    /// The task's name; None is shown as `-` and its lines carry the prefix `task`.
    #[serde(default)]
    pub name: Option<String>,
    /// Who submitted, for the job table.
    pub user: String,
    /// Shell text that runs before `run`; absent on `exec`.
    #[serde(default)]
    pub setup: Option<String>,
    /// Shell text of the job itself; absent where only setup is wanted.
    #[serde(default)]
    pub run: Option<String>,
    /// Variables for both: kept in the agent's memory, never written to disk.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Variables for both that nobody may see; they win over `env`.
    #[serde(default)]
    pub secrets: SecretVariables,
    /// What the job asked for, as the table shows it: `1x(cpus=2, mem=2)`.
    #[serde(default)]
    pub resources: String,
    /// On how many nodes `run` runs; `setup` runs on all nodes of the cluster.
    #[serde(default = "one_node")]
    pub num_nodes: u32,
    /// Its number is to be higher than this one: the last that is known of an earlier head pod of the cluster.
    #[serde(default)]
    pub after: JobId,
    /// Thousandths of GPUs on each of these nodes. A job without any takes half a CPU of each instead.
    #[serde(default)]
    pub milli_gpus: u32,
}

const fn one_node() -> u32 {
    1
}

impl Default for JobSpec {
    fn default() -> Self {
        Self {
            submission: String::new(),
            name: None,
            user: String::new(),
            setup: None,
            run: None,
            env: BTreeMap::new(),
            secrets: SecretVariables::default(),
            resources: String::new(),
            num_nodes: one_node(),
            after: 0,
            milli_gpus: 0,
        }
    }
}

/// Variables whose values nobody may see: `Debug` shows their names.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretVariables(BTreeMap<String, String>);

impl SecretVariables {
    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Names and values, for the job's processes alone.
    pub fn reveal(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for SecretVariables {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl fmt::Debug for SecretVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// What the cause of a job begins with whose container came to its end and was started again. The pod's status knows more.
pub const RESTARTED: &str = "the task container was restarted";
/// The cause of a job whose container was told to stop. The pod's events know by whom.
pub const STOPPED: &str = "the task container was told to stop";

/// A job's state, in SkyPilot's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobStatus {
    /// Accepted, not yet in the queue.
    Init,
    /// Waits for its turn, or for Docker.
    Pending,
    /// Its setup runs.
    SettingUp,
    /// Its run command runs.
    Running,
    /// The agent itself could not run it.
    FailedDriver,
    /// Its run command ended with 0.
    Succeeded,
    /// Its run command ended with another code, or was killed.
    Failed,
    /// Its setup ended with another code than 0.
    FailedSetup,
    /// A user cancelled it.
    Cancelled,
}

impl JobStatus {
    /// Whether the job will never run again.
    pub const fn is_final(self) -> bool {
        !matches!(
            self,
            Self::Init | Self::Pending | Self::SettingUp | Self::Running
        )
    }

    /// The word that tables and JSON show.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Init => "INIT",
            Self::Pending => "PENDING",
            Self::SettingUp => "SETTING_UP",
            Self::Running => "RUNNING",
            Self::FailedDriver => "FAILED_DRIVER",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::FailedSetup => "FAILED_SETUP",
            Self::Cancelled => "CANCELLED",
        }
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What the agent remembers of a job. Times are Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// The job's number.
    pub id: JobId,
    /// The client's id of the submission.
    pub submission: String,
    /// The task's name.
    #[serde(default)]
    pub name: Option<String>,
    /// Who submitted.
    pub user: String,
    /// What it asked for.
    #[serde(default)]
    pub resources: String,
    /// Its state.
    pub status: JobStatus,
    /// When the agent accepted it.
    pub submitted_ms: u64,
    /// When its first process started.
    #[serde(default)]
    pub started_ms: Option<u64>,
    /// When it came to its end.
    #[serde(default)]
    pub ended_ms: Option<u64>,
    /// The exit code of the command that decided its end; 128 + n where signal n killed it.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// On how many nodes it runs.
    #[serde(default = "one_node")]
    pub num_nodes: u32,
    /// The exit codes of all nodes by rank, once it has ended on them; 137 where another node's failure ended it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exit_codes: Vec<i32>,
    /// Why it failed, where the agent knows more than the code: one lower-case fragment.
    #[serde(default)]
    pub cause: Option<String>,
    /// The folder of its logs as the user finds it: `~/sky_logs/1-train`.
    pub log_dir: String,
    /// The names of its secret variables, whose values die with the agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

impl JobRecord {
    /// The record of a job that has just been accepted.
    pub fn new(id: JobId, spec: &JobSpec, submitted_ms: u64, log_dir: String) -> Self {
        Self {
            id,
            submission: spec.submission.clone(),
            name: spec.name.clone(),
            user: spec.user.clone(),
            resources: spec.resources.clone(),
            status: JobStatus::Pending,
            submitted_ms,
            started_ms: None,
            ended_ms: None,
            exit_code: None,
            num_nodes: spec.num_nodes,
            exit_codes: Vec::new(),
            cause: None,
            log_dir,
            secrets: spec.secrets.names().map(str::to_owned).collect(),
        }
    }
}
