//! A task with every value final: what the compiler and the engine work on.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::TaskConfig;
use crate::quantity::{GIGABYTE, decimal_text};

/// A task with every value final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedTask {
    /// Display name.
    pub name: Option<String>,
    /// Thousandths of a CPU for each node.
    pub milli_cpu: u64,
    /// Bytes of memory for each node.
    pub memory_bytes: u64,
    /// The image the user chose; None is the configured default.
    pub image: Option<String>,
    /// The kubeconfig context the user chose.
    pub context: Option<String>,
    /// Number of nodes.
    pub num_nodes: u32,
    /// Variables of `setup` and `run`.
    pub envs: IndexMap<String, String>,
    /// Local folder that is synced to `~/sky_workdir`.
    pub workdir: Option<String>,
    /// Shell text that runs once before `run`.
    pub setup: Option<String>,
    /// Shell text of the job.
    pub run: Option<String>,
    /// Changes to the configuration.
    pub config: TaskConfig,
}

impl ResolvedTask {
    /// What tables show: `1x(cpus=2, mem=2)`, memory in GB.
    pub fn resources_text(&self) -> String {
        let cpus = decimal_text(self.milli_cpu, 1000);
        let memory = decimal_text(self.memory_bytes, GIGABYTE);
        format!("{}x(cpus={cpus}, mem={memory})", self.num_nodes)
    }
}
