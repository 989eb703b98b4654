//! Why a task cannot have the Docker that it asks for on this cluster.

use std::fmt;

use skiff_schema::Conflict;
use thiserror::Error;

/// Why a task cannot have the Docker that it asks for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DockerError {
    /// What several places of the configuration say does not go together.
    #[error("{}", Told(.0))]
    Conflicts(Vec<Conflict>),
    /// There is no volume of this name.
    #[error("there is no volume `{name}`, which `enable_docker.cache_volume` names")]
    NoVolume {
        /// The name.
        name: String,
    },
    /// The volume cannot be used any more.
    #[error("the volume `{name}` for Docker's cache {state}")]
    VolumeGone {
        /// The volume.
        name: String,
        /// What has become of it.
        state: &'static str,
    },
    /// The volume is no file system.
    #[error("the volume `{name}` for Docker's cache is a raw block device, without a file system")]
    RawVolume {
        /// The volume.
        name: String,
    },
    /// Pods may only read the volume.
    #[error(
        "the volume `{name}` for Docker's cache may only be read: its access mode is ReadOnlyMany"
    )]
    ReadOnlyVolume {
        /// The volume.
        name: String,
    },
    /// Only one node, or one pod, may use the volume.
    #[error(
        "the volume `{name}` for Docker's cache is {mode}: {users} at a time, and the task has {nodes} nodes"
    )]
    NotShared {
        /// The volume.
        name: String,
        /// Its access mode.
        mode: String,
        /// Who may use it.
        users: &'static str,
        /// How many nodes the task has.
        nodes: u32,
    },
    /// The volume's storage cannot hold layers of images.
    #[error(
        "the storage of the volume `{name}` for Docker's cache, by `{provisioner}`, cannot hold it: {why}"
    )]
    UnfitStorage {
        /// The volume.
        name: String,
        /// Who provides its storage.
        provisioner: String,
        /// Why it cannot be.
        why: &'static str,
    },
    /// Nothing makes disks.
    #[error(
        "`storage: block` of `enable_docker` takes disks of the default StorageClass, and the cluster has none"
    )]
    NoDiskClass,
    /// The default class makes no disks.
    #[error(
        "`storage: block` of `enable_docker` takes disks of the default StorageClass `{class}` (`{provisioner}`): {why}, no block devices"
    )]
    NoDisks {
        /// The class.
        class: String,
        /// Who makes its volumes.
        provisioner: String,
        /// What it makes instead.
        why: &'static str,
    },
    /// The daemon would change the node's own network.
    #[error("`pod_config` gives the pod the node's own network, and Docker would change its rules")]
    HostNetwork,
    /// What the daemon's data lies on was replaced.
    #[error(
        "`pod_config` mounts `{volume}` at {path} of the container `{container}`, where Docker's data is to lie"
    )]
    DataReplaced {
        /// The user's volume.
        volume: String,
        /// Where.
        path: String,
        /// The sidecar.
        container: String,
    },
}

/// One conflict as it is, several as a list with what to write.
struct Told<'a>(&'a [Conflict]);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0 {
            return write!(f, "`enable_docker.{}`: {}", only.field, only.message);
        }
        write!(f, "`enable_docker` asks for what does not go together:")?;
        for Conflict {
            field,
            message,
            help,
            ..
        } in self.0
        {
            write!(f, "\n  `{field}`: {message}\n      {help}")?;
        }
        Ok(())
    }
}

impl DockerError {
    /// What to do about it, where that is known.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Conflicts(conflicts) => match conflicts.as_slice() {
                [only] => only.help.clone(),
                _ => return None,
            },
            Self::NoVolume { .. } => {
                "`skiff volumes apply FILE` makes one, `skiff volumes ls` shows those that there are"
                    .to_owned()
            }
            Self::VolumeGone { .. } => "name another volume, or leave `cache_volume` out".to_owned(),
            Self::RawVolume { .. } => {
                "name a volume with a file system; `storage: {kind: block, size: 50Gi}` takes a raw \
                 device, which goes with the cluster"
                    .to_owned()
            }
            Self::ReadOnlyVolume { .. } => {
                "name a volume that is ReadWriteOnce or ReadWriteMany".to_owned()
            }
            Self::NotShared { .. } => {
                "launch with `--num-nodes 1`, or leave `cache_volume` out and keep layers in a registry: \
                 `docker buildx build --cache-to type=registry,ref=… --cache-from type=registry,ref=…`"
                    .to_owned()
            }
            Self::UnfitStorage { .. } => {
                "make a volume of a storage class with block storage (a cloud's disk, Ceph RBD, Longhorn, a local \
                 disk), or keep layers in a registry: `docker buildx build --cache-to type=registry,ref=… \
                 --cache-from type=registry,ref=…`"
                    .to_owned()
            }
            Self::NoDiskClass | Self::NoDisks { .. } => {
                "write `storage: {kind: loop, size: 50Gi}`, a disk image in a file, or `storage: auto`".to_owned()
            }
            Self::HostNetwork => {
                "leave `hostNetwork` out, or write `enable_docker: BUILD`, which changes no network"
                    .to_owned()
            }
            Self::DataReplaced { .. } => {
                "leave that mount out, or `cache_volume` and `storage` of `enable_docker`".to_owned()
            }
        })
    }
}
