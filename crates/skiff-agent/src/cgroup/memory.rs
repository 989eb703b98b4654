//! The container's memory: kills for want of it, the limit, what is used and was used at most.

use std::fs;
use std::path::{Path, PathBuf};

use super::{MOUNT, counted, group_with, number};

/// The files of the container's memory controller, whichever version of cgroups it is in.
#[derive(Clone, Debug)]
pub(crate) struct MemoryWatch {
    /// A file with a line `oom_kill N`.
    events: PathBuf,
    limit: PathBuf,
    usage: PathBuf,
    /// The most that was ever used; not there in older kernels of version 2.
    peak: PathBuf,
    /// The processes, one a line.
    processes: PathBuf,
}

/// The names of these files by version.
const VERSION_1: [&str; 4] = [
    "memory.oom_control",
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    "memory.max_usage_in_bytes",
];
const VERSION_2: [&str; 4] = [
    "memory.events",
    "memory.max",
    "memory.current",
    "memory.peak",
];

impl MemoryWatch {
    /// Finds the controller; None where the container sees none.
    pub(crate) fn find() -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        Self::find_in(Path::new(MOUNT), &own)
    }

    fn find_in(mount: &Path, own: &str) -> Option<Self> {
        [(Some("memory"), VERSION_1), (None, VERSION_2)]
            .into_iter()
            .find_map(|(controller, names)| {
                let group = group_with(mount, own, controller, names[0])?;
                let [events, limit, usage, peak] = names.map(|name| group.join(name));
                let watch = Self {
                    events,
                    limit,
                    usage,
                    peak,
                    processes: group.join("cgroup.procs"),
                };
                watch.kills().is_some().then_some(watch)
            })
    }

    /// How many processes the kernel has killed here for want of memory.
    pub(crate) fn kills(&self) -> Option<u64> {
        counted(&self.events, "oom_kill")
    }

    /// The limit in bytes, where there is one.
    pub(crate) fn limit(&self) -> Option<u64> {
        // Version 1 writes "no limit" as a number near the largest, version 2 as a word.
        number(&self.limit).filter(|limit| *limit < 1 << 60)
    }

    /// What is used now, in bytes.
    pub(crate) fn usage(&self) -> Option<u64> {
        number(&self.usage)
    }

    /// The most that was used since the container began, in bytes.
    pub(crate) fn peak(&self) -> Option<u64> {
        number(&self.peak)
    }

    /// The processes that it is counted for. Others may be seen too: those of the pod, or of the machine.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let text = fs::read_to_string(&self.processes).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// ` at the memory limit of 2 GiB`, or nothing.
    pub(crate) fn at_limit(&self) -> String {
        self.limit()
            .map(|limit| format!(" at the memory limit of {}", size(limit)))
            .unwrap_or_default()
    }
}

/// Bytes as people write them: `2 GiB`, `1.5 GiB`, `512 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    let (unit, name) = if bytes >= 1 << 30 {
        (1_u64 << 30, "GiB")
    } else {
        (1 << 20, "MiB")
    };
    let tenths = (u128::from(bytes) * 10 + u128::from(unit) / 2) / u128::from(unit);
    match tenths % 10 {
        0 => format!("{} {name}", tenths / 10),
        tenth => format!("{}.{tenth} {name}", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::{MemoryWatch, size};

    fn watch(files: &[(&str, &str)], own: &str) -> Option<MemoryWatch> {
        let dir = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        let watch = MemoryWatch::find_in(dir.path(), own);
        std::mem::forget(dir);
        watch
    }

    #[test]
    fn reads_version_1_from_a_container() {
        let own = "4:memory:/kubepods/pod1/c1\n0::/\n";
        let watch = watch(
            &[
                (
                    "memory/memory.oom_control",
                    "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
                ),
                ("memory/memory.limit_in_bytes", "2147483648\n"),
            ],
            own,
        )
        .expect("a controller");
        assert_eq!(
            (watch.kills(), watch.at_limit().as_str()),
            (Some(3), " at the memory limit of 2 GiB")
        );
    }

    #[test]
    fn reads_version_2_below_the_mount() {
        let watch = watch(
            &[
                ("a/b/memory.events", "low 0\noom 2\noom_kill 1\n"),
                ("a/b/memory.max", "max\n"),
            ],
            "0::/a/b\n",
        )
        .expect("a controller");
        assert_eq!((watch.kills(), watch.limit()), (Some(1), None));
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!(size(2 << 30), "2 GiB");
        assert_eq!(size(3 << 29), "1.5 GiB");
        assert_eq!(size(512 << 20), "512 MiB");
        assert_eq!(size(2_000_000_000), "1.9 GiB");
    }
}
