//! What a folder lies on, in words and numbers. For messages and sizes: what a file system can do is found
//! out by trying, in [`super::overlay`].

use std::fs;
use std::path::Path;

/// Kinds by the number that the kernel gives them, and whether other machines serve them.
const KINDS: [(u64, &str, bool); 18] = [
    (0xef53, "ext4", false),
    (0x5846_5342, "xfs", false),
    (0x9123_683e, "btrfs", false),
    (0xf2f5_2010, "f2fs", false),
    (0x2fc1_2fc1, "zfs", false),
    (0x0102_1994, "tmpfs", false),
    (0x8584_58f6, "ramfs", false),
    (0x794c_7630, "overlayfs", false),
    (0x6969, "NFS", true),
    (0x517b, "SMB", true),
    (0xff53_4d42, "CIFS", true),
    (0xfe53_4d42, "SMB", true),
    (0x00c3_6400, "CephFS", true),
    (0x0bd0_0bd0, "Lustre", true),
    (0x4750_4653, "GPFS", true),
    (0x5346_414f, "AFS", true),
    (0x0102_1997, "9p", true),
    (FUSE, "FUSE", true),
];
const FUSE: u64 = 0x6573_5546;

/// What a folder lies on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileSystem {
    /// Its kind, in words.
    pub(crate) kind: String,
    /// Whether it is served over a network, or by a process outside of the kernel.
    pub(crate) is_remote: bool,
    /// Bytes in all.
    pub(crate) size: u64,
    /// Bytes that are used.
    pub(crate) used: u64,
    /// Bytes that may still be written.
    pub(crate) free: u64,
}

impl FileSystem {
    /// Looks at a folder; where the kernel tells nothing, everything is unknown and empty.
    pub(crate) fn of(dir: &Path) -> Self {
        let Ok(found) = rustix::fs::statfs(dir) else {
            return Self {
                kind: "an unknown file system".to_owned(),
                is_remote: false,
                size: 0,
                used: 0,
                free: 0,
            };
        };
        let magic = u64::try_from(found.f_type).unwrap_or_default();
        let known = KINDS.iter().find(|(number, ..)| *number == magic);
        let kind = match known {
            Some((FUSE, ..)) => fuse_kind(dir).unwrap_or_else(|| "FUSE".to_owned()),
            Some((_, name, _)) => (*name).to_owned(),
            None => format!("a file system of type {magic:#x}"),
        };
        let unit = u64::try_from(found.f_bsize).unwrap_or_default();
        Self {
            kind,
            is_remote: known.is_some_and(|(.., remote)| *remote),
            size: found.f_blocks.saturating_mul(unit),
            used: found
                .f_blocks
                .saturating_sub(found.f_bfree)
                .saturating_mul(unit),
            free: found.f_bavail.saturating_mul(unit),
        }
    }
}

/// Which of those that are FUSE to `statfs`: `virtiofs`, `fuse.glusterfs`.
fn fuse_kind(dir: &Path) -> Option<String> {
    let dir = fs::canonicalize(dir).ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let of_line = |line: &str| {
        let (before, behind) = line.split_once(" - ")?;
        let place = before.split(' ').nth(4)?.to_owned();
        Some((place, behind.split(' ').next()?.to_owned()))
    };
    // Of several at one place the last one is on top.
    let above = mounts.lines().filter_map(of_line);
    let (_, kind) = above
        .filter(|(place, _)| dir.starts_with(place))
        .max_by_key(|(place, _)| place.len())?;
    Some(match kind.as_str() {
        "virtiofs" => kind,
        "fuse" | "fuseblk" => "FUSE".to_owned(),
        other => format!("FUSE ({other})"),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::FileSystem;

    #[test]
    fn a_folder_of_the_kernel_is_known_and_what_is_not_there_is_no_fault() {
        let found = FileSystem::of(Path::new("/dev/shm"));
        assert_eq!((found.kind.as_str(), found.is_remote), ("tmpfs", false));
        assert!(found.free > 0 && found.size >= found.used, "{found:?}");
        assert_eq!(FileSystem::of(Path::new("/not/there")).size, 0);
    }
}
