//! The container's number of processes: forks that the kernel refused because a limit was reached.

use std::fs;
use std::path::{Path, PathBuf};

use super::{MOUNT, counted, group_with, number};

/// The file that counts refused forks, the same in both versions.
const EVENTS: &str = "pids.events";

/// The files of the container's pids controller.
#[derive(Clone, Debug)]
pub(crate) struct PidsWatch {
    group: PathBuf,
}

impl PidsWatch {
    /// Finds the controller; None where the container sees none.
    pub(crate) fn find() -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        Self::find_in(Path::new(MOUNT), &own)
    }

    fn find_in(mount: &Path, own: &str) -> Option<Self> {
        let group = group_with(mount, own, Some("pids"), EVENTS)
            .or_else(|| group_with(mount, own, None, EVENTS))?;
        Some(Self { group })
    }

    /// How many forks were refused here. A limit of the pod as a whole, which is where the kubelet sets it, counts
    /// here with version 1 only.
    pub(crate) fn refusals(&self) -> Option<u64> {
        counted(&self.group.join(EVENTS), "max")
    }

    /// How many processes and threads there are.
    pub(crate) fn current(&self) -> Option<u64> {
        number(&self.group.join("pids.current"))
    }
}

#[cfg(test)]
mod tests {
    use super::PidsWatch;

    #[test]
    fn refused_forks_are_read_in_both_versions() {
        for (folder, own) in [("pids", "3:pids:/kubepods/x\n0::/\n"), ("", "0::/\n")] {
            let dir = tempfile::tempdir().expect("a folder");
            let group = dir.path().join(folder);
            std::fs::create_dir_all(&group).expect("a folder");
            std::fs::write(group.join("pids.events"), "max 7\n").expect("a file");
            std::fs::write(group.join("pids.current"), "12\n").expect("a file");
            let watch = PidsWatch::find_in(dir.path(), own).expect("a controller");
            assert_eq!((watch.refusals(), watch.current()), (Some(7), Some(12)));
        }
    }
}
