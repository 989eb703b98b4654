//! What a task asks of a node: CPUs, memory, image, place.

use serde::{Deserialize, Serialize};

/// A number of CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpus {
    /// Thousandths of a CPU.
    pub milli: u64,
    /// Whether it was written with `+`. The request is exactly `milli` all the same, as in SkyPilot.
    pub at_least: bool,
}

/// An amount of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Memory {
    /// So many bytes. `GB` is 1000³ bytes everywhere.
    Bytes {
        /// The amount.
        bytes: u64,
        /// Whether it was written with `+`.
        at_least: bool,
    },
    /// `4x`: gigabytes as a multiple of the number of CPUs.
    PerCpu {
        /// Bytes for each CPU.
        bytes: u64,
    },
}

/// Where the task may run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Infra {
    /// A Kubernetes cluster.
    Kubernetes {
        /// The kubeconfig context; None is the one that the configuration or kubeconfig chooses.
        context: Option<String>,
    },
}

/// The `resources` of a task, as far as this version reads them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// CPUs of each node.
    pub cpus: Option<Cpus>,
    /// Memory of each node.
    pub memory: Option<Memory>,
    /// The container image, without the `docker:` prefix.
    pub image_id: Option<String>,
    /// Where to run.
    pub infra: Option<Infra>,
}
