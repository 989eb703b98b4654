//! What `enable_docker` asks for, as values.

mod conflicts;

use serde::{Deserialize, Serialize};

pub use self::conflicts::{Conflict, ConflictKind};

/// Which Docker a task gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DockerMode {
    /// None.
    #[default]
    Off,
    /// A daemon of its own in a privileged sidecar.
    All,
    /// One that builds images only, without privileges.
    Build,
}

/// Docker for a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DockerConfig {
    /// Which.
    pub mode: DockerMode,
    /// The volume that keeps images and build caches; None: they end with the pod.
    pub cache_volume: Option<String>,
    /// What the data lies on where it ends with the pod.
    pub storage: DockerStorage,
    /// What the sidecar asks for, and what it may have at most.
    pub resources: DockerResources,
    /// The sidecar's image; None: that of [`Images`](crate::Images).
    pub image: Option<String>,
    /// Registries that are asked before Docker Hub: `https://mirror.example.com`.
    pub registry_mirrors: Vec<String>,
    /// Registries without TLS: `registry:5000`, `10.0.0.0/8`.
    pub insecure_registries: Vec<String>,
    /// Where nested networks get their addresses; none: found out in the pod.
    pub address_pools: Vec<DockerAddresses>,
    /// The largest packet of nested networks in bytes; None: that of the pod.
    pub mtu: Option<u32>,
    /// Whether storage drivers that copy whole images may be used.
    pub allow_slow_storage: bool,
    /// Whether the daemon listens on the pod's localhost too.
    pub expose_tcp: bool,
}

/// What a daemon's data lies on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DockerStorage {
    /// Its kind.
    pub kind: StorageKind,
    /// Its size; None: as large as the node, the pod's memory or the volume is.
    pub bytes: Option<u64>,
}

/// Kinds of storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StorageKind {
    /// The first that works, found out in the pod.
    #[default]
    Auto,
    /// Memory.
    Memory,
    /// A disk image in a file.
    Loop,
    /// A block device.
    Block,
}

impl StorageKind {
    /// All kinds, as they are written.
    pub(crate) const WORDS: [&str; 4] = ["auto", "memory", "loop", "block"];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        let [auto, memory, looped, block] = Self::WORDS;
        match self {
            Self::Auto => auto,
            Self::Memory => memory,
            Self::Loop => looped,
            Self::Block => block,
        }
    }
}

/// What the sidecar asks for, and what it may have at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DockerResources {
    /// What the scheduler keeps for it.
    pub requests: DockerAmounts,
    /// What it may have at most.
    pub limits: DockerAmounts,
}

/// Amounts of one container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DockerAmounts {
    /// Thousandths of a CPU.
    pub milli_cpu: Option<u64>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Bytes of the node's disk.
    pub disk_bytes: Option<u64>,
}

impl DockerAmounts {
    /// The amounts by the names that Kubernetes has for them.
    pub(crate) fn by_name(self) -> [(&'static str, Option<u64>); 3] {
        [
            ("cpu", self.milli_cpu),
            ("memory", self.memory_bytes),
            ("ephemeral-storage", self.disk_bytes),
        ]
    }
}

/// Addresses for nested networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerAddresses {
    /// All of them: `10.200.0.0/16`.
    pub base: String,
    /// The length of each network's prefix.
    pub size: u8,
}
