//! What the data of a daemon or a builder lies on.

use k8s_openapi::api::core::v1::{Container, EmptyDirVolumeSource, PodSpec};
use skiff_schema::StorageKind;

use crate::container::mount;
use crate::pod::empty_dir;
use crate::{Input, quantity};

/// Name of the volume with images and containers.
const VOLUME: &str = "docker-data";

/// Adds the volume to the pod.
pub(super) fn add_volume(input: &Input<'_>, spec: &mut PodSpec) {
    let storage = input.config.docker.storage;
    let size = storage.bytes.map(quantity::memory);
    let source = match storage.kind {
        StorageKind::Auto => EmptyDirVolumeSource {
            size_limit: size,
            ..EmptyDirVolumeSource::default()
        },
        StorageKind::Memory => EmptyDirVolumeSource {
            medium: Some("Memory".to_owned()),
            size_limit: size,
            ..EmptyDirVolumeSource::default()
        },
        // The disk image is full before the kubelet would evict the pod for it.
        StorageKind::Loop | StorageKind::Block => EmptyDirVolumeSource::default(),
    };
    let volumes = spec.volumes.get_or_insert_default();
    volumes.push(empty_dir(VOLUME, source));
}

/// Mounts it in the sidecar, where that keeps its data.
pub(super) fn mount_volume(sidecar: &mut Container, path: &str) {
    let mounts = sidecar.volume_mounts.get_or_insert_default();
    mounts.push(mount(VOLUME, path));
}
