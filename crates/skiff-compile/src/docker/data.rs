//! What the data of a daemon or a builder lies on: of the pod, a volume that outlives it, or a disk of the cluster's own.

use k8s_openapi::api::core::v1::{
    Container, EmptyDirVolumeSource, PersistentVolumeClaim, PersistentVolumeClaimVolumeSource,
    PodSpec, Volume, VolumeDevice, VolumeMount,
};
use skiff_proto::paths;
use skiff_schema::{DockerMode, StorageKind};

use crate::container::mount;
use crate::facts::{DiskClassFacts, VolumeFacts};
use crate::pod::empty_dir;
use crate::{ClusterName, DockerError, Input, claim, quantity};

use super::fitness::makes_no_disks;

/// Name of the volume with images and containers.
const VOLUME: &str = "docker-data";
/// Name of the volume that is a disk of each node's own.
const DISK: &str = "docker-disk";

/// Adds the volume to the pod, and to its sidecar, which keeps its data at this path.
pub(super) fn add(input: &Input<'_>, spec: &mut PodSpec, sidecar: &mut Container, path: &str) {
    let volume = volume(input);
    if volume.name == DISK {
        sidecar.volume_devices = Some(vec![VolumeDevice {
            device_path: paths::DOCKER_DEVICE.to_owned(),
            name: DISK.to_owned(),
        }]);
    } else {
        let mounts = sidecar.volume_mounts.get_or_insert_default();
        mounts.push(VolumeMount {
            sub_path_expr: input
                .config
                .docker
                .cache_volume
                .as_ref()
                .map(|_| folder(input)),
            ..mount(VOLUME, path)
        });
    }
    spec.volumes.get_or_insert_default().push(volume);
}

fn volume(input: &Input<'_>) -> Volume {
    let config = &input.config.docker;
    let size = config.storage.bytes.map(quantity::memory);
    if let Some(name) = &config.cache_volume {
        let claim_name = match &input.facts.cache_volume {
            VolumeFacts::Found(claim) => claim.claim.clone(),
            VolumeFacts::Unknown | VolumeFacts::Missing => name.clone(),
        };
        return claimed(VOLUME, claim_name);
    }
    match config.storage.kind {
        // Each rank has its own: the pod's name is not known yet.
        StorageKind::Block => claimed(DISK, String::new()),
        // A disk image is made somewhat smaller: it is full before the kubelet would evict the pod for it.
        StorageKind::Auto | StorageKind::Loop => {
            let source = EmptyDirVolumeSource {
                size_limit: size,
                ..EmptyDirVolumeSource::default()
            };
            empty_dir(VOLUME, source)
        }
        StorageKind::Memory => {
            let source = EmptyDirVolumeSource {
                medium: Some("Memory".to_owned()),
                size_limit: size,
                ..EmptyDirVolumeSource::default()
            };
            empty_dir(VOLUME, source)
        }
    }
}

fn claimed(name: &str, claim_name: String) -> Volume {
    Volume {
        name: name.to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name,
            ..PersistentVolumeClaimVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// The folder of a rank on a cache volume. Not that of a pod: it is to be found again after `down` and `launch`.
fn folder(input: &Input<'_>) -> String {
    let of_mode = match input.config.docker.mode {
        DockerMode::Build => "buildkit",
        DockerMode::All | DockerMode::Off => "docker",
    };
    format!("skiff/{of_mode}/rank-$(SKIFF_RANK)")
}

/// Whether the data goes with a disk that each node has of its own.
fn has_disk(input: &Input<'_>) -> bool {
    let config = &input.config.docker;
    config.mode != DockerMode::Off && config.storage.kind == StorageKind::Block
}

/// Refuses disks that nobody would make: the pod would wait for them for ever.
pub(super) fn check_disks(input: &Input<'_>) -> Result<(), DockerError> {
    if !has_disk(input) {
        return Ok(());
    }
    match &input.facts.disk_class {
        DiskClassFacts::Unknown => Ok(()),
        DiskClassFacts::Missing => Err(DockerError::NoDiskClass),
        DiskClassFacts::Found { name, provisioner } => match makes_no_disks(provisioner) {
            None => Ok(()),
            Some(why) => Err(DockerError::NoDisks {
                class: name.clone(),
                provisioner: provisioner.clone(),
                why,
            }),
        },
    }
}

/// What the claims of the nodes' disks have in common, where they have such disks.
pub(crate) fn disks(input: &Input<'_>, cluster: &ClusterName) -> Option<PersistentVolumeClaim> {
    let bytes = input.config.docker.storage.bytes;
    let bytes = bytes.filter(|_| has_disk(input))?;
    let mut claim = claim::of_nodes(input, cluster, bytes);
    claim.spec.get_or_insert_default().volume_mode = Some("Block".to_owned());
    Some(claim)
}

/// The claim of a rank's disk.
pub(crate) fn disk_of_rank(
    cluster: &ClusterName,
    claim: PersistentVolumeClaim,
    rank: u32,
) -> PersistentVolumeClaim {
    claim::of_rank(claim, cluster.docker_disk(rank), rank)
}

/// Names the claim of a pod's own rank.
pub(crate) fn name_claim(cluster: &ClusterName, rank: u32, spec: &mut PodSpec) {
    let volumes = spec.volumes.iter_mut().flatten();
    for volume in volumes.filter(|volume| volume.name == DISK) {
        if let Some(claim) = &mut volume.persistent_volume_claim {
            claim.claim_name = cluster.docker_disk(rank);
        }
    }
}

/// The volume of the user's own that `pod_config` has mounted where the data is to lie.
pub(super) fn replaced<'a>(sidecar: &'a Container, path: &str) -> Option<&'a str> {
    let mounts = sidecar.volume_mounts.iter().flatten();
    let mut mounts = mounts.filter(|mount| mount.mount_path.trim_end_matches('/') == path);
    let other = mounts.find(|mount| mount.name != VOLUME);
    other.map(|mount| mount.name.as_str())
}
