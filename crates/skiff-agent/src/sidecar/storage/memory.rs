//! Memory for the daemon's data: small and fast, and counted against the container's limit.

use std::ffi::CString;
use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, mount_remount};
use skiff_proto::{DockerSettings, Storage as Wish};
use thiserror::Error;

use crate::cgroup::size;
use crate::sidecar::file_system::FileSystem;

/// The least that is of use.
const LEAST: u64 = 256 << 20;

/// There is no memory for it.
#[derive(Debug, Error)]
pub(super) enum MemoryError {
    /// Nothing says how much may be taken.
    #[error("the container has no memory limit, so nothing says how much may be taken")]
    NoLimit,
    /// There is too little.
    #[error("{} are too little, {} are needed at least", size(*.0), size(LEAST))]
    TooLittle(u64),
    /// The kernel refuses.
    #[error("cannot mount it")]
    Mount(#[source] io::Error),
}

/// Mounts memory over the data folder, where it is not memory already. Gives its size in words.
pub(super) fn mount(
    data: &Path,
    settings: &DockerSettings,
    limit: Option<u64>,
) -> Result<String, MemoryError> {
    let found = FileSystem::of(data);
    if found.kind == "tmpfs" {
        // Kubernetes bounds it by ending the pod, and older ones let it grow to half of the machine's
        // memory: a bound of its own makes the disk full instead.
        let bytes = match settings.storage_bytes {
            Some(bytes) if bytes < found.size => {
                mount_remount(data, MountFlags::empty(), options(bytes)?.as_c_str())
                    .map_err(|error| MemoryError::Mount(error.into()))?;
                bytes
            }
            _ => found.size,
        };
        return Ok(size(bytes));
    }
    let bytes = amount(settings, limit)?;
    let options = options(bytes)?;
    rustix::mount::mount(
        "tmpfs",
        data,
        "tmpfs",
        MountFlags::empty(),
        options.as_c_str(),
    )
    .map_err(|error| MemoryError::Mount(error.into()))?;
    Ok(size(bytes))
}

/// How much is taken: what is configured, else half of what the container may have. Memory that nobody has
/// asked for stays within that half, whatever the size of the disk that was asked for.
fn amount(settings: &DockerSettings, limit: Option<u64>) -> Result<u64, MemoryError> {
    let half = limit.map(|limit| limit / 2);
    let bytes = match settings.storage {
        Wish::Memory => settings.storage_bytes.or(half),
        _ => half.map(|half| settings.storage_bytes.unwrap_or(half).min(half)),
    };
    match bytes {
        None => Err(MemoryError::NoLimit),
        Some(bytes) if bytes < LEAST => Err(MemoryError::TooLittle(bytes)),
        Some(bytes) => Ok(bytes),
    }
}

fn options(bytes: u64) -> Result<CString, MemoryError> {
    CString::new(format!("size={bytes},mode=0711"))
        .map_err(|error| MemoryError::Mount(error.into()))
}

#[cfg(test)]
mod tests {
    use skiff_proto::{DockerSettings, Storage};

    use super::{MemoryError, amount};

    const GIB: u64 = 1 << 30;

    #[test]
    fn memory_is_taken_within_what_is_known_to_be_there() {
        let of = |storage, storage_bytes, limit| {
            let settings = DockerSettings {
                storage,
                storage_bytes,
                ..DockerSettings::default()
            };
            amount(&settings, limit).ok()
        };
        assert_eq!(of(Storage::Auto, None, None), None);
        assert_eq!(of(Storage::Auto, Some(GIB), None), None);
        assert_eq!(of(Storage::Auto, None, Some(4 * GIB)), Some(2 * GIB));
        assert_eq!(
            of(Storage::Auto, Some(50 * GIB), Some(4 * GIB)),
            Some(2 * GIB)
        );
        assert_eq!(
            of(Storage::Memory, Some(3 * GIB), Some(4 * GIB)),
            Some(3 * GIB)
        );
        assert_eq!(of(Storage::Memory, Some(GIB), None), Some(GIB));
        let settings = DockerSettings::default();
        let error = amount(&settings, Some(64 << 20));
        assert!(matches!(error, Err(MemoryError::TooLittle(bytes)) if bytes == 32 << 20));
    }
}
