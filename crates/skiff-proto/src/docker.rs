//! What the sidecars of Docker are told: one JSON text in an environment variable of theirs.

use serde::{Deserialize, Serialize};

/// The variable that holds [`DockerSettings`].
pub const DOCKER_SETTINGS: &str = "SKIFF_DOCKER";

/// What the configuration says of a pod's daemon or builder; what is not written, the sidecar finds out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DockerSettings {
    /// Where the data lies.
    #[serde(skip_serializing_if = "is_default")]
    pub storage: Storage,
    /// The size of the data's disk, and so the most that images and caches may take.
    #[serde(skip_serializing_if = "is_default")]
    pub storage_bytes: Option<u64>,
    /// Who holds the data while it is on a volume that outlives the pod: cluster and rank, for the lock.
    #[serde(skip_serializing_if = "is_default")]
    pub cache_holder: Option<String>,
    /// Whether storage drivers that copy whole images may be used.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_slow_storage: bool,
    /// Registries that are asked before Docker Hub.
    #[serde(skip_serializing_if = "is_default")]
    pub registry_mirrors: Vec<String>,
    /// Registries without TLS.
    #[serde(skip_serializing_if = "is_default")]
    pub insecure_registries: Vec<String>,
    /// Where nested networks get their addresses.
    #[serde(skip_serializing_if = "is_default")]
    pub address_pools: Vec<AddressPool>,
    /// The largest packet of nested networks in bytes.
    #[serde(skip_serializing_if = "is_default")]
    pub mtu: Option<u32>,
    /// Whether the daemon listens on the pod's localhost too.
    #[serde(skip_serializing_if = "is_default")]
    pub expose_tcp: bool,
}

/// What the data of a daemon lies on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// The first that works, found out by trying.
    #[default]
    Auto,
    /// Memory.
    Memory,
    /// A disk image in a file.
    Loop,
    /// A block device.
    Block,
}

/// Addresses for nested networks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressPool {
    /// All of them, as `10.200.0.0/16`.
    pub base: String,
    /// The length of each network's prefix.
    pub size: u8,
}

/// What users are told of a daemon or builder beside its state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DockerFacts {
    /// What its data lies on, in words.
    #[serde(skip_serializing_if = "is_default")]
    pub storage: Option<String>,
    /// Where else it might have lain, and why it does not.
    #[serde(skip_serializing_if = "is_default")]
    pub tried: Vec<String>,
    /// How it stores layers: `overlay2`.
    #[serde(skip_serializing_if = "is_default")]
    pub driver: Option<String>,
    /// Whose users a builder without privileges has.
    #[serde(skip_serializing_if = "is_default")]
    pub user_namespace: Option<String>,
    /// Whether a builder's steps have processes of their own.
    #[serde(skip_serializing_if = "is_default")]
    pub process_sandbox: Option<bool>,
    /// What went wrong while it works.
    #[serde(skip_serializing_if = "is_default")]
    pub notice: Option<String>,
    /// How much of its room the data takes.
    #[serde(skip_serializing_if = "is_default")]
    pub disk: Option<DiskUse>,
}

/// Room and what is taken of it, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskUse {
    /// What is used.
    pub used: u64,
    /// What may be used.
    pub size: u64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
