//! A disk image in a file of the data folder, mounted over that folder by a loop device.
//!
//! The file has holes: it takes what is written to it. It stays when the container is started again, and
//! goes with the folder. The loop device goes with the last mount, however that ends.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use super::ext4::{self, DiskError};
use crate::cgroup::size;
use crate::sidecar::file_system::FileSystem;

/// The file.
const NAME: &str = ".skiff-disk.img";
/// The file while it has no file system yet.
const UNFINISHED: &str = ".skiff-disk.img.new";
/// The smallest image that is of use.
const LEAST: u64 = 256 << 20;
/// The part of the room that is left to the file's own file system, and to what else is in the folder: where
/// the folder has a limit, the file must stay below it also when it is full.
const SPARE: u64 = 32;
/// How often the mount is tried: somebody else may take the loop device that was free a moment ago, and the
/// one of the container's last life may be on its way out.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);
/// The kernel's number of loop devices.
const LOOP_MAJOR: u32 = 7;
/// More loop devices than there are: some that the kernel makes while others take them.
const MORE: u32 = 16;

/// Mounts the image over the folder; makes it where there is none, of the size that is configured, or of
/// nearly all that is free. Gives its size in words.
pub(super) fn mount(data: &Path, bytes: Option<u64>) -> Result<String, DiskError> {
    let image = data.join(NAME);
    let access = |error| DiskError::Access(image.clone(), error);
    if !image.try_exists().map_err(access)? {
        make(data, bytes)?;
    }
    let length = image.metadata().map_err(access)?.len();
    add_devices();
    let mut tried = 0;
    loop {
        // The image's own program: it takes a free loop device and ties it to the mount in one step.
        let mut command = Command::new("mount");
        command
            .args(["-t", "ext4", "-o", "loop,discard,noatime"])
            .args([&*image, data]);
        match ext4::run("mount", command) {
            Ok(()) => return Ok(size(length)),
            Err(error) if tried == ATTEMPTS => return Err(error),
            Err(_) => sleep(PAUSE),
        }
        tried += 1;
    }
}

/// Makes the image. It gets its name when it is whole: one that a crash leaves half-made is not used.
fn make(data: &Path, bytes: Option<u64>) -> Result<(), DiskError> {
    let room = bytes.unwrap_or_else(|| FileSystem::of(data).free);
    let length = room - room / SPARE;
    if length < LEAST {
        return Err(DiskError::Full {
            free: room,
            least: LEAST,
        });
    }
    let unfinished = data.join(UNFINISHED);
    let access = |error| DiskError::Access(unfinished.clone(), error);
    let file = File::create(&unfinished).map_err(access)?;
    file.set_len(length).map_err(access)?;
    ext4::make(&unfinished)?;
    file.sync_all().map_err(access)?;
    fs::rename(&unfinished, data.join(NAME)).map_err(access)
}

/// Makes the nodes of loop devices: `/dev` of a privileged container is as the machine's was when the
/// container started, or nearly empty. What cannot be made, `mount` complains about.
fn add_devices() {
    let _ = node(
        "/dev/loop-control",
        makedev(10, 237),
        FileType::CharacterDevice,
    );
    let known = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let highest = known
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .strip_prefix("loop")?
                .parse()
                .ok()
        })
        .max()
        .unwrap_or(0_u32);
    for number in 0..=highest.saturating_add(MORE) {
        let _ = node(
            &format!("/dev/loop{number}"),
            makedev(LOOP_MAJOR, number),
            FileType::BlockDevice,
        );
    }
}

fn node(path: &str, device: u64, kind: FileType) -> io::Result<()> {
    Ok(mknodat(CWD, path, kind, Mode::RUSR | Mode::WUSR, device)?)
}
