//! A block device that the pod has for the daemon's data: given a file system once, then used as it is.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::mount::MountFlags;

use super::ext4::{self, Content, DiskError};

/// Mounts the device over the data folder.
pub(super) fn mount(device: &Path, data: &Path) -> Result<(), DiskError> {
    let access = |error| DiskError::Access(device.to_owned(), error);
    match device.metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(DiskError::Absent);
        }
        Err(error) => return Err(access(error)),
        Ok(found) if !found.file_type().is_block_device() => return Err(DiskError::Absent),
        Ok(_) => {}
    }
    let kind = match ext4::content(device).map_err(access)? {
        Content::FileSystem(kind) => kind,
        Content::Nothing => {
            ext4::make(device)?;
            "ext4"
        }
        Content::Other => return Err(DiskError::Foreign(device.to_owned())),
    };
    rustix::mount::mount(device, data, kind, MountFlags::NOATIME, None)
        .map_err(|error| DiskError::Mount(device.to_owned(), error.into()))
}
