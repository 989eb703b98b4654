//! Where the daemon's data lies: the first place that can hold layers, found out by trying, from the volume
//! that is there over a block device and a disk image in a file to memory.
//!
//! Must never choose a place where each layer is a copy of all files below it, unless that was allowed.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};
use skiff_proto::{DockerSettings, Storage as Wish, paths};
use thiserror::Error;

use super::data_lock::{DataLock, LockError};
use super::file_system::FileSystem;
use super::overlay::{self, Refusal};
use crate::cgroup::MemoryWatch;
use crate::layout::Layout;
use crate::{clock, with_causes};

mod block_device;
mod disk_image;
mod ext4;
mod memory;

use ext4::DiskError;
use memory::MemoryError;

/// The storage driver that needs nothing of a file system and copies whole images.
const SLOW_DRIVER: &str = "vfs";

/// The daemon's data can lie nowhere.
#[derive(Debug, Error)]
pub(crate) enum StorageError {
    /// The folder for it cannot be made.
    #[error("cannot make {0}")]
    Folder(PathBuf, #[source] io::Error),
    /// Another daemon has it, or nobody can know.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The volume that is to keep it for later pods cannot.
    #[error(
        "the cache volume at {dir} is on {kind}, which cannot hold Docker's layers ({refusal}): it must be a \
         disk, as block storage and local volumes are, not a share of files; take a volume of another storage \
         class, leave `cache_volume` out, or keep the cache in a registry (`docker buildx build --cache-to`)"
    )]
    CacheVolume {
        /// Where it is mounted.
        dir: PathBuf,
        /// What it is.
        kind: String,
        /// What it cannot do.
        refusal: String,
    },
    /// The one place that is configured does not do.
    #[error("`storage: {0}` is not possible here: {1}")]
    Wish(&'static str, String),
    /// Every place was tried.
    #[error(
        "Docker's layers can lie nowhere in this pod ({tried}): give it a local disk or a memory limit, or \
         allow copies of whole images with `allow_slow_storage: true`"
    )]
    Nowhere {
        /// What was tried, with what the kernel said.
        tried: String,
    },
}

/// Where the data lies.
#[derive(Debug)]
pub(super) struct Storage {
    /// The place, in words.
    pub(super) chosen: String,
    /// The places that did not do, and why.
    pub(super) tried: Vec<String>,
    /// The storage driver that the daemon must be told; its own choice is right anywhere else.
    pub(super) driver: Option<&'static str>,
    /// How much may lie there where that is less than all of the disk.
    pub(super) share: Option<u64>,
    /// Whether drivers that copy whole images are allowed.
    pub(super) may_be_slow: bool,
    /// Whether a daemon of another pod may have left things in it.
    pub(super) is_inherited: bool,
    /// Nobody else has the data as long as these live.
    _locks: Vec<DataLock>,
}

/// What the ladder stands on.
pub(super) struct Ladder<'a> {
    /// Where the daemon looks for its data.
    pub(super) data: &'a Path,
    /// Where a block device of the pod would be.
    pub(super) device: &'a Path,
    /// What is configured.
    pub(super) settings: &'a DockerSettings,
    /// The container's memory limit in bytes, where it has one.
    pub(super) memory: Option<u64>,
    /// Who takes the data, for whoever comes second.
    pub(super) holder: &'a str,
    /// Whether nobody needs the daemon any more.
    pub(super) is_over: &'a dyn Fn() -> bool,
}

/// One place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rung {
    Folder,
    Device,
    Image,
    Memory,
}

/// Why a place does not do.
#[derive(Debug, Error)]
enum RungError {
    #[error("{0}")]
    Overlay(Refusal),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Memory(#[from] MemoryError),
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// The container's memory limit. To be asked before its control groups are divided.
pub(super) fn memory_limit() -> Option<u64> {
    MemoryWatch::find()?.limit()
}

/// Finds the place for the data of this pod's daemon.
pub(super) fn find(
    layout: &Layout,
    settings: &DockerSettings,
    memory: Option<u64>,
) -> Result<Storage, StorageError> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let own = || format!("cluster {}", variable("SKIFF_CLUSTER"));
    let holder = format!(
        "{} (pod {}, since {})",
        settings.cache_holder.clone().unwrap_or_else(own),
        variable("HOSTNAME"),
        clock::date_and_time(clock::now_ms()),
    );
    let ladder = Ladder {
        data: Path::new(paths::DOCKER_DATA),
        device: Path::new(paths::DOCKER_DEVICE),
        settings,
        memory,
        holder: &holder,
        is_over: &|| layout.at(paths::LEAVE_MARKER).exists(),
    };
    let mut storage = ladder.climb()?;
    storage.may_be_slow = settings.allow_slow_storage;
    // Once a daemon has run in this pod, its log is there, and what is in the data is this pod's.
    let has_containers = ladder
        .data
        .join("containers")
        .read_dir()
        .is_ok_and(|mut entries| entries.next().is_some());
    storage.is_inherited = has_containers && !layout.at(paths::DOCKER_LOG).exists();
    Ok(storage)
}

impl Ladder<'_> {
    /// Takes the first place that does.
    pub(super) fn climb(&self) -> Result<Storage, StorageError> {
        fs::create_dir_all(self.data)
            .map_err(|error| StorageError::Folder(self.data.to_owned(), error))?;
        // A folder that cannot be locked may yet be one that is not to be used.
        let lock = match self.lock() {
            Err(held @ LockError::Held { .. }) => return Err(held.into()),
            lock => lock,
        };
        let mut tried = Vec::new();
        for rung in self.rungs() {
            let (error, kind) = match self.step(*rung) {
                Ok(place) => return Ok(place.with(lock?, tried)),
                Err(refused) => refused,
            };
            if self.is_cache() && !self.settings.allow_slow_storage {
                return Err(StorageError::CacheVolume {
                    dir: self.data.to_owned(),
                    kind,
                    refusal: error.to_string(),
                });
            }
            tried.push(format!("{}: {}", rung.name(&kind), with_causes(&error)));
        }
        if self.settings.storage == Wish::Auto && self.settings.allow_slow_storage {
            return Ok(self.copies().with(lock?, tried));
        }
        let tried = tried.join("; ");
        Err(match self.settings.storage {
            Wish::Auto => StorageError::Nowhere { tried },
            Wish::Memory => StorageError::Wish("memory", tried),
            Wish::Loop => StorageError::Wish("loop", tried),
            Wish::Block => StorageError::Wish("block", tried),
        })
    }

    /// Whether the data is to be there for later pods, which only its volume can do.
    fn is_cache(&self) -> bool {
        self.settings.cache_holder.is_some() && self.settings.storage == Wish::Auto
    }

    fn rungs(&self) -> &'static [Rung] {
        match self.settings.storage {
            Wish::Auto if self.is_cache() => &[Rung::Folder],
            Wish::Auto => &[Rung::Folder, Rung::Device, Rung::Image, Rung::Memory],
            Wish::Memory => &[Rung::Memory],
            Wish::Loop => &[Rung::Image],
            Wish::Block => &[Rung::Device],
        }
    }

    fn lock(&self) -> Result<DataLock, LockError> {
        DataLock::take(self.data, self.holder, self.is_over)
    }

    /// Tries one place; what does not do is left as it was. With the failure comes the kind of what was there.
    fn step(&self, rung: Rung) -> Result<Place, (RungError, String)> {
        let below = FileSystem::of(self.data).kind;
        let device = self.device_number();
        let mounted = match rung {
            Rung::Folder => Ok(None),
            Rung::Device => block_device::mount(self.device, self.data)
                .map(|()| Some("a block device".to_owned()))
                .map_err(RungError::Disk),
            Rung::Image => disk_image::mount(self.data, self.settings.storage_bytes)
                .map(|size| Some(format!("a disk image of {size} on {below}")))
                .map_err(RungError::Disk),
            Rung::Memory => memory::mount(self.data, self.settings, self.memory)
                .map(|size| Some(format!("{size} of memory")))
                .map_err(RungError::Memory),
        };
        let mounted = mounted.map_err(|error| (error, below))?;
        let kind = FileSystem::of(self.data).kind;
        let lock = match overlay::test(self.data) {
            // Another pod may have the same device, where the folder below is each one's own.
            Ok(()) if rung == Rung::Device => self.lock().map(Some).map_err(RungError::Lock),
            Ok(()) => Ok(None),
            Err(refusal) => Err(RungError::Overlay(refusal)),
        };
        match lock {
            Ok(lock) => Ok(Place {
                chosen: mounted.map_or_else(|| kind.clone(), |what| format!("{what} ({kind})")),
                driver: None,
                share: self.settings.storage_bytes.filter(|_| rung == Rung::Folder),
                lock,
            }),
            Err(error) => {
                if self.device_number() != device {
                    // What stays mounted is hidden by the next place.
                    let _ = unmount(self.data, UnmountFlags::DETACH);
                }
                Err((error, kind))
            }
        }
    }

    /// Changes when something is mounted over the folder.
    fn device_number(&self) -> Option<u64> {
        Some(self.data.metadata().ok()?.dev())
    }

    /// Each layer as a copy of all files below it: slow and large, and possible nearly anywhere.
    fn copies(&self) -> Place {
        let kind = FileSystem::of(self.data).kind;
        Place {
            chosen: format!("copies of whole images on {kind}"),
            driver: Some(SLOW_DRIVER),
            share: self.settings.storage_bytes,
            lock: None,
        }
    }
}

/// A place that does.
struct Place {
    chosen: String,
    driver: Option<&'static str>,
    share: Option<u64>,
    lock: Option<DataLock>,
}

impl Place {
    fn with(self, lock: DataLock, tried: Vec<String>) -> Storage {
        Storage {
            chosen: self.chosen,
            tried,
            driver: self.driver,
            share: self.share,
            may_be_slow: false,
            is_inherited: false,
            _locks: [lock].into_iter().chain(self.lock).collect(),
        }
    }
}

impl Rung {
    /// Its name, where the data folder is of this kind.
    fn name(self, kind: &str) -> String {
        match self {
            Self::Folder => format!("the volume on {kind}"),
            Self::Device => "a block device".to_owned(),
            Self::Image => "a disk image".to_owned(),
            Self::Memory => "memory".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
