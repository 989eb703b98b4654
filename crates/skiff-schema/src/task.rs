//! A task file as the user wrote it: parsed and checked, defaults not yet filled in.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::{DockerMode, Faults, ProvisionTimeout, ResolvedTask, Resources, TaskOverrides};

/// What the task's own `config:` changes of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskConfig {
    /// `kubernetes.enable_docker`.
    pub enable_docker: Option<DockerMode>,
    /// `kubernetes.provision_timeout`.
    pub provision_timeout: Option<ProvisionTimeout>,
}

/// One task.
#[derive(Clone, Debug)]
pub struct Task {
    /// Display name.
    pub name: Option<String>,
    /// What each node has.
    pub resources: Resources,
    /// Number of nodes.
    pub num_nodes: u32,
    /// Variables of `setup` and `run`; None must be given by `--env`.
    pub envs: IndexMap<String, Option<String>>,
    /// Local folder that is synced to `~/sky_workdir`.
    pub workdir: Option<String>,
    /// Shell text that runs once before `run`.
    pub setup: Option<String>,
    /// Shell text of the job.
    pub run: Option<String>,
    /// Changes to the configuration.
    pub config: TaskConfig,
}

impl Task {
    /// Reads a task file's text; `file_name` is for messages only.
    pub fn read(file_name: &str, text: &str) -> Result<Self, Faults> {
        todo!("{file_name} {text}")
    }

    /// Reads a task file's bytes, which may be no UTF-8 at all.
    pub fn read_bytes(file_name: &str, bytes: &[u8]) -> Result<Self, Faults> {
        todo!("{file_name} {bytes:?}")
    }

    /// A task that runs one bash command, named as SkyPilot names it.
    pub fn from_command(command: &str) -> Self {
        todo!("{command}")
    }

    /// Applies command-line flags, fills in defaults and checks what only then can be checked.
    pub fn resolve(&self, overrides: &TaskOverrides) -> Result<ResolvedTask, Faults> {
        todo!("{overrides:?}")
    }
}
