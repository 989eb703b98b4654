//! A task with every value final: what the compiler and the engine work on.

use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::quantity::{GIGABYTE, decimal_text};
use crate::{Infra, Remark, Secrets, TaskConfig};

/// A task with every value final.
#[derive(Clone, PartialEq)]
pub struct ResolvedTask {
    /// Display name.
    pub name: Option<String>,
    /// Number of nodes.
    pub num_nodes: u32,
    /// What a node has, by candidate: the first is the first choice; never empty.
    pub resources: Vec<ResolvedResources>,
    /// Variables of `setup` and `run`.
    pub envs: IndexMap<String, String>,
    /// Variables of `setup` and `run` that nobody may see.
    pub secrets: Secrets,
    /// Local folder, or git repository, that becomes `~/sky_workdir`.
    pub workdir: Option<Workdir>,
    /// Shell text that runs once before `run`.
    pub setup: Option<String>,
    /// Shell text of the job.
    pub run: Option<String>,
    /// What is put into the pods, by the path where it appears.
    pub file_mounts: IndexMap<String, FileMount>,
    /// Volumes, by the path where they appear.
    pub volumes: IndexMap<String, VolumeMount>,
    /// A service of many replicas, as written and checked.
    pub service: Option<Json>,
    /// A pool of workers for jobs, as written and checked.
    pub pool: Option<Json>,
    /// Changes to the configuration.
    pub config: TaskConfig,
    /// Secrets that a server of the organisation would keep: `launch` has none and refuses them.
    pub managed_secrets: Vec<ManagedSecret>,
    /// Further fields, as written and checked, by name.
    pub others: IndexMap<String, Json>,
    /// What was written and changes nothing on Kubernetes.
    pub remarks: Vec<Remark>,
}

/// A secret that is kept elsewhere, by its name there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedSecret {
    /// Its name.
    pub name: String,
    /// Whose it is: `personal`, `workspace` or `global`; None is whichever has it.
    pub scope: Option<String>,
    /// The file that it becomes; None makes it a variable.
    pub mount_path: Option<String>,
}

/// What a node of a task has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResolvedResources {
    /// Thousandths of a CPU.
    pub milli_cpu: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// GPUs or other accelerators.
    pub accelerators: Option<Accelerators>,
    /// The image that the user chose, without `docker:`; None is the configured default.
    pub image: Option<String>,
    /// Where to run; None is wherever the configuration says.
    pub infra: Option<Infra>,
    /// Bytes of disk that were asked for; None is the default.
    pub disk_bytes: Option<u64>,
    /// Ports to open, in order, without overlaps.
    pub ports: Vec<PortRange>,
    /// Labels of the pods.
    pub labels: IndexMap<String, String>,
    /// Whether nodes that may vanish will do.
    pub use_spot: bool,
    /// When the cluster takes itself down.
    pub autostop: Option<Autostop>,
    /// How this candidate came to be one.
    pub choice: Choice,
    /// Further fields, as written and checked, by name: what later stages of the product act on.
    pub others: IndexMap<String, Json>,
}

/// How candidates stand to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// There is one.
    #[default]
    Only,
    /// Any will do.
    AnyOf,
    /// The first that can be had.
    Ordered,
}

/// Accelerators of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accelerators {
    /// What the user called them: `A100`, or by their memory `80GB+`, `nvidia:40GB`.
    pub name: String,
    /// Thousandths of one.
    pub milli_count: u64,
}

/// Ports from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

/// When a cluster takes itself down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Autostop {
    /// Minutes without work.
    pub idle_minutes: u64,
    /// Whether it is removed, not only stopped.
    pub down: bool,
    /// What counts as work: `jobs_and_ssh`, `jobs` or `none`.
    pub wait_for: String,
}

/// Where `~/sky_workdir` comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Workdir {
    /// A local folder.
    Folder(String),
    /// A git repository.
    Git {
        /// Its address.
        url: String,
        /// Branch, tag or commit; None is the default branch.
        reference: Option<String>,
    },
}

/// What appears at a path of the pods.
#[derive(Clone, Debug, PartialEq)]
pub enum FileMount {
    /// A local file or folder.
    Local(String),
    /// What an address in the cloud holds, copied.
    Cloud(String),
    /// A bucket, as written and checked.
    Storage(Json),
}

/// A volume at a path of the pods.
#[derive(Clone, Debug, PartialEq)]
pub enum VolumeMount {
    /// One that exists.
    Named {
        /// Its name.
        name: String,
        /// The folder of it that is mounted.
        sub_path: Option<String>,
    },
    /// One that lives as long as the cluster, as written and checked.
    Ephemeral(Json),
}

impl ResolvedTask {
    /// The first choice of resources.
    pub fn first(&self) -> &ResolvedResources {
        self.resources
            .first()
            .expect("resolving makes at least one candidate")
    }

    /// The kubeconfig context that the first choice names.
    pub fn context(&self) -> Option<&str> {
        self.first().infra.as_ref()?.context()
    }

    /// What tables show of a candidate: `1x(cpus=2, mem=2)`, memory in GB.
    pub fn resources_text(&self, resources: &ResolvedResources) -> String {
        let cpus = decimal_text(resources.milli_cpu, 1000);
        let memory = decimal_text(resources.memory_bytes, GIGABYTE);
        let accelerators = resources
            .accelerators
            .as_ref()
            .map(|accelerators| format!("gpus={accelerators}, "));
        let accelerators = accelerators.unwrap_or_default();
        format!(
            "{}x({accelerators}cpus={cpus}, mem={memory})",
            self.num_nodes
        )
    }
}

/// As JSON, without secrets.
impl std::fmt::Debug for ResolvedTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ResolvedTask {}", self.to_json())
    }
}

impl std::fmt::Display for Accelerators {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.name, decimal_text(self.milli_count, 1000))
    }
}

impl std::fmt::Display for PortRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}
