//! How much of its room the daemon's data takes, cheaply measured.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use skiff_proto::DiskUse;
use tokio::time::Instant;

use super::file_system::FileSystem;

/// From how much of its room on it is tight, in hundredths.
pub(super) const TIGHT: u64 = 80;
/// What the data's part of a shared disk may have grown by, in hundredths, before it is counted again.
const UNSEEN: u64 = 2;
/// How long a count is believed at most.
const STALE: Duration = Duration::from_mins(5);

/// Whether room should be made.
pub(super) fn is_tight(found: DiskUse) -> bool {
    hundredths(found, TIGHT) < found.used
}

/// So many hundredths of the room.
pub(super) fn hundredths(found: DiskUse, count: u64) -> u64 {
    found.size / 100 * count
}

/// The disk with the data.
#[derive(Debug)]
pub(super) struct Disk {
    data: PathBuf,
    /// How much the data may take, where that is less than the disk.
    share: Option<u64>,
    counted: Option<Count>,
}

/// The data's part of a disk that others use too.
#[derive(Clone, Copy, Debug)]
struct Count {
    at: Instant,
    bytes: u64,
    /// What all had used of the disk by then.
    disk_used: u64,
}

impl Disk {
    pub(super) fn new(data: &Path, share: Option<u64>) -> Self {
        Self {
            data: data.to_owned(),
            share,
            counted: None,
        }
    }

    /// Measures. The files of a part are counted only after the disk as a whole has changed: a count looks at
    /// every file.
    pub(super) async fn measure(&mut self) -> DiskUse {
        let whole = FileSystem::of(&self.data);
        let disk = DiskUse {
            used: whole.used,
            size: whole.used + whole.free,
        };
        let Some(share) = self.share.filter(|share| *share < disk.size) else {
            return disk;
        };
        let part = DiskUse {
            used: 0,
            size: share,
        };
        let is_current = |count: &Count| {
            count.at.elapsed() < STALE
                && whole.used.abs_diff(count.disk_used) < hundredths(part, UNSEEN)
        };
        let bytes = if let Some(count) = self.counted.filter(is_current) {
            count.bytes
        } else {
            let bytes = self.count().await;
            self.counted = Some(Count {
                at: Instant::now(),
                bytes,
                disk_used: whole.used,
            });
            bytes
        };
        DiskUse {
            used: bytes,
            ..part
        }
    }

    /// The bytes that the data takes, whoever else uses the disk.
    pub(super) async fn count(&self) -> u64 {
        let data = self.data.clone();
        let counting = tokio::task::spawn_blocking(move || count(&data));
        counting.await.unwrap_or_default()
    }

    /// Has the next measurement count anew.
    pub(super) fn forget(&mut self) {
        self.counted = None;
    }
}

/// The bytes that the folder's files take on its own disk. What vanishes meanwhile takes none.
fn count(dir: &Path) -> u64 {
    let Ok(device) = dir.metadata().map(|found| found.dev()) else {
        return 0;
    };
    let mut bytes = 0;
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            // A container's files are mounted within, and are those of the layers beside it.
            let Some(found) = entry.metadata().ok().filter(|found| found.dev() == device) else {
                continue;
            };
            bytes += found.blocks() * 512;
            if found.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::{Disk, DiskUse, is_tight};

    #[tokio::test]
    async fn a_part_of_a_disk_is_counted_by_its_files() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(dir.path().join("deep")).expect("a folder");
        let write = |name: &str, length| {
            std::fs::write(dir.path().join(name), vec![b'x'; length]).expect("written");
        };
        write("deep/layer", 3 << 20);
        let mut disk = Disk::new(dir.path(), Some(4 << 20));
        let first = disk.measure().await;
        assert_eq!(first.size, 4 << 20);
        assert!((3 << 20..7 << 19).contains(&first.used), "{first:?}");
        assert!(!is_tight(first), "{first:?}");
        write("more", 1 << 20);
        disk.forget();
        assert!(is_tight(disk.measure().await));
    }

    #[tokio::test]
    async fn a_disk_of_its_own_is_asked_as_a_whole() {
        let mut disk = Disk::new("/dev/shm".as_ref(), None);
        let found = disk.measure().await;
        assert!(found.size > found.used, "{found:?}");
        let mut larger = Disk::new("/dev/shm".as_ref(), Some(u64::MAX));
        assert_eq!(larger.measure().await.size, found.size);
    }

    #[test]
    fn four_fifths_are_tight() {
        let of = |used| DiskUse { used, size: 1000 };
        assert!(!is_tight(of(800)));
        assert!(is_tight(of(801)));
    }
}
