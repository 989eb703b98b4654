//! Fields of `enable_docker` that cannot stand together, with what to write instead.

use super::{DockerConfig, DockerMode, StorageKind};

/// A field that does not go with another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The field below `enable_docker`: `storage`, `resources.limits`.
    pub field: &'static str,
    /// What is wrong: a fragment that follows the field and a colon.
    pub message: String,
    /// What to write instead.
    pub help: String,
    /// How bad it is.
    pub kind: ConflictKind,
}

/// How bad a conflict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictKind {
    /// No pod can be like that.
    Impossible,
    /// The field has no meaning in this mode: wrong where it is written beside the mode, passed over
    /// where a lower layer of the configuration wrote it for the other one.
    Idle,
}

impl DockerConfig {
    /// Everything that cannot be as it is written.
    pub fn conflicts(&self) -> Vec<Conflict> {
        let mut found = Vec::new();
        match self.mode {
            DockerMode::Off => return found,
            DockerMode::All => {}
            DockerMode::Build => self.builder_alone(&mut found),
        }
        self.data(&mut found);
        self.amounts(&mut found);
        found
    }

    /// What a builder without privileges cannot do.
    fn builder_alone(&self, found: &mut Vec<Conflict>) {
        const NETWORK: &str = "builds have the pod's own network, and no other";
        const INSTEAD: &str = "write `mode: ALL`, or leave it out";
        let idle = [
            ("address_pools", !self.address_pools.is_empty(), NETWORK),
            ("mtu", self.mtu.is_some(), NETWORK),
            (
                "expose_tcp",
                self.expose_tcp,
                "there is no Docker daemon that could listen",
            ),
        ];
        for (field, _, why) in idle.into_iter().filter(|(_, is_written, _)| *is_written) {
            found.push(Conflict {
                field,
                message: format!("`BUILD` has no use for it: {why}"),
                help: INSTEAD.to_owned(),
                kind: ConflictKind::Idle,
            });
        }
        if let Some(network) = self.insecure_registries.iter().find(|it| it.contains('/')) {
            found.push(Conflict {
                field: "insecure_registries",
                message: format!(
                    "`{network}` is a network, and `BUILD` knows registries by name only"
                ),
                help: "name each registry as registry.example.com:5000".to_owned(),
                kind: ConflictKind::Idle,
            });
        }
        if let kind @ (StorageKind::Loop | StorageKind::Block) = self.storage.kind {
            found.push(Conflict {
                field: "storage",
                message: format!(
                    "`BUILD` cannot mount {}: it has no privileges",
                    match kind {
                        StorageKind::Loop => "a disk image",
                        _ => "a block device",
                    }
                ),
                help: "write `storage: memory` or `storage: auto`; a `cache_volume` is a disk too"
                    .to_owned(),
                kind: ConflictKind::Impossible,
            });
        }
    }

    /// What the data lies on.
    fn data(&self, found: &mut Vec<Conflict>) {
        let storage = self.storage;
        let mut impossible = |message: String, help: &str| {
            found.push(Conflict {
                field: "storage",
                message,
                help: help.to_owned(),
                kind: ConflictKind::Impossible,
            });
        };
        if let (Some(volume), true) = (&self.cache_volume, storage.kind != StorageKind::Auto) {
            let kind = storage.kind.as_str();
            let end = match storage.kind {
                StorageKind::Block => "cluster",
                _ => "pod",
            };
            impossible(
                format!("`{kind}` ends with the {end}, and `cache_volume: {volume}` outlives it"),
                "keep one of the two",
            );
        }
        if storage.kind == StorageKind::Block && storage.bytes.is_none() {
            impossible(
                "a block device needs a size".to_owned(),
                "write `storage: {kind: block, size: 50Gi}`",
            );
        }
        let Some(size) = storage.bytes else {
            return;
        };
        let (memory, disk) = (
            self.resources.limits.memory_bytes,
            self.resources.limits.disk_bytes,
        );
        if storage.kind == StorageKind::Memory && memory.is_some_and(|limit| size >= limit) {
            impossible(
                "what lies in memory counts as the sidecar's, and `resources.limits.memory` leaves nothing beside it"
                    .to_owned(),
                "raise the limit above the size, or make the storage smaller",
            );
        }
        let is_on_node = matches!(storage.kind, StorageKind::Auto | StorageKind::Loop)
            && self.cache_volume.is_none();
        if is_on_node && disk.is_some_and(|limit| size > limit) {
            impossible(
                "its size is more than `resources.limits.ephemeral-storage`, at which the kubelet evicts the pod"
                    .to_owned(),
                "raise the limit, or make the storage smaller",
            );
        }
    }

    /// Kubernetes takes no request above its limit.
    fn amounts(&self, found: &mut Vec<Conflict>) {
        let (requests, limits) = (self.resources.requests, self.resources.limits);
        let pairs = requests.by_name().into_iter().zip(limits.by_name());
        for ((name, request), (_, limit)) in pairs {
            let (Some(request), Some(limit)) = (request, limit) else {
                continue;
            };
            if request > limit {
                found.push(Conflict {
                    field: "resources",
                    message: format!("the request of `{name}` is more than its limit"),
                    help: "make them equal, or raise the limit".to_owned(),
                    kind: ConflictKind::Impossible,
                });
            }
        }
    }
}
