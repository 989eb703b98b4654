//! The sidecar's memory: who is killed when there is none left, and that it is told.
//!
//! The kernel tells a container nothing of a kill but a number, and with version 1 of control groups not even
//! that above the group of whoever was killed.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::event::{EventfdFlags, eventfd};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use crate::cgroup::{counted, number};
use crate::watch_dir::DirWatch;

const TREE: &str = "/sys/fs/cgroup";
/// What the daemon gives to nested containers, and all may give themselves. The kubelet gives up to 1000 to a
/// container: left so, the kernel would kill the daemon for what one of them eats, and with it all of them.
const SCORE: &str = "0";

/// Makes the kernel kill the largest where memory is short: a nested container or a build, not the daemons that
/// the wrapper starts. Where it cannot be done they run all the same.
pub(super) fn protect() {
    let _ = fs::write("/proc/self/oom_score_adj", SCORE);
}

/// Kills for want of memory in the sidecar or in a container within.
#[derive(Debug)]
pub(super) struct MemoryEvents {
    source: Source,
    limit: PathBuf,
    kills: u64,
}

#[derive(Debug)]
enum Source {
    /// Counts how often the limit was met for want of anything to free.
    Version1 {
        /// Not a pipe, but read like one.
        counter: pipe::Receiver,
        /// Holds what is watched.
        _file: fs::File,
    },
    /// A file with a line `oom_kill N`, which counts the groups below too.
    Version2 { file: PathBuf, changes: DirWatch },
}

impl MemoryEvents {
    /// Begins to look; None where the container sees no memory controller. To be called in the runtime.
    pub(super) fn watch() -> Option<Self> {
        Self::watch_in(Path::new(TREE))
    }

    fn watch_in(tree: &Path) -> Option<Self> {
        let version_2 = tree.join("memory.events");
        let (source, limit) = if version_2.exists() {
            let changes = DirWatch::of_file(&version_2).ok()?;
            let file = version_2;
            (Source::Version2 { file, changes }, tree.join("memory.max"))
        } else {
            let group = tree.join("memory");
            (version_1(&group).ok()?, group.join("memory.limit_in_bytes"))
        };
        let mut events = Self {
            source,
            limit,
            kills: 0,
        };
        // With version 2 the number goes on where the container was started again.
        events.kills = events.count().unwrap_or_default();
        Some(events)
    }

    /// The limit in bytes, where there is one.
    pub(super) fn limit(&self) -> Option<u64> {
        // Version 1 writes "no limit" as a number near the largest, version 2 as a word.
        number(&self.limit).filter(|limit| *limit < 1 << 60)
    }

    /// Kills until now.
    pub(super) fn kills(&self) -> u64 {
        self.kills
    }

    /// Waits until there are more kills.
    pub(super) async fn more(&mut self) -> io::Result<()> {
        loop {
            match &mut self.source {
                Source::Version1 { counter, .. } => {
                    let mut number = [0; size_of::<u64>()];
                    counter.read_exact(&mut number).await?;
                    self.kills += u64::from_ne_bytes(number);
                    return Ok(());
                }
                Source::Version2 { changes, .. } => changes.changed().await?,
            }
            let now = self.count().unwrap_or_default();
            if now > self.kills {
                self.kills = now;
                return Ok(());
            }
        }
    }

    fn count(&self) -> Option<u64> {
        match &self.source {
            Source::Version1 { .. } => None,
            Source::Version2 { file, .. } => counted(file, "oom_kill"),
        }
    }
}

/// Has the kernel count in a descriptor whenever it kills for the group's limit, or for one above it.
fn version_1(group: &Path) -> io::Result<Source> {
    let file = fs::File::open(group.join("memory.oom_control"))?;
    let counter = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let wish = format!("{} {}", counter.as_raw_fd(), file.as_raw_fd());
    fs::write(group.join("cgroup.event_control"), wish)?;
    Ok(Source::Version1 {
        counter: pipe::Receiver::from_file_unchecked(fs::File::from(counter))?,
        _file: file,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::MemoryEvents;

    #[tokio::test]
    async fn kills_are_counted_with_version_2() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        assert!(MemoryEvents::watch_in(dir.path()).is_none());
        fs::write(at("memory.max"), "268435456\n").expect("written");
        fs::write(at("memory.events"), "oom 1\noom_kill 1\n").expect("written");
        let mut events = MemoryEvents::watch_in(dir.path()).expect("a controller");
        assert_eq!((events.kills(), events.limit()), (1, Some(256 << 20)));
        fs::write(at("memory.events"), "oom 3\noom_kill 1\n").expect("written");
        fs::write(at("memory.events"), "oom 3\noom_kill 3\n").expect("written");
        events.more().await.expect("readable");
        assert_eq!(events.kills(), 3);
        fs::write(at("memory.max"), "max\n").expect("written");
        assert_eq!(events.limit(), None);
    }

    #[tokio::test]
    async fn the_kernel_is_asked_to_count_with_version_1() {
        let dir = tempfile::tempdir().expect("a folder");
        let group = dir.path().join("memory");
        fs::create_dir(&group).expect("a folder");
        for (file, text) in [
            ("memory.oom_control", "oom_kill 0\n"),
            ("memory.limit_in_bytes", "9223372036854771712\n"),
        ] {
            fs::write(group.join(file), text).expect("written");
        }
        let events = MemoryEvents::watch_in(dir.path()).expect("a controller");
        assert_eq!((events.kills(), events.limit()), (0, None));
        let wish = fs::read_to_string(group.join("cgroup.event_control")).expect("a wish");
        assert_eq!(wish.split(' ').count(), 2, "{wish}");
    }
}
