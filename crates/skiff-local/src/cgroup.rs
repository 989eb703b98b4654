//! The cgroups of a cluster, in every mounted hierarchy.
//!
//! Every process of a cluster is born below one cgroup of the *tracking* hierarchy, so that `down`
//! finds them all without any record. Kubelets get their root in the other hierarchies too.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::file::FileError;

/// How long killed processes may take to vanish.
const KILL_PATIENCE: Duration = Duration::from_secs(20);
/// Pause between two looks at a cgroup that is being emptied.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The cgroup hierarchies of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hierarchies {
    /// Mount points of the version 1 hierarchies.
    controllers: Vec<PathBuf>,
    /// Mount point of the version 2 hierarchy.
    unified: Option<PathBuf>,
}

/// Cgroups cannot be used.
#[derive(Debug, Error)]
pub enum CgroupError {
    /// None is mounted.
    #[error("no cgroup hierarchy is mounted")]
    NotMounted,
    /// A file or folder could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Processes stay although they were killed.
    #[error("processes stay although they were killed: {}", .0.iter().map(ToString::to_string)
        .collect::<Vec<_>>().join(", "))]
    Unkillable(Vec<u32>),
}

impl Hierarchies {
    /// Reads what is mounted now.
    pub(crate) fn read() -> Result<Self, CgroupError> {
        let path = Path::new("/proc/self/mountinfo");
        let text = fs::read_to_string(path).map_err(FileError::at("read", path))?;
        let found = Self::parse(&text);
        if found.controllers.is_empty() && found.unified.is_none() {
            return Err(CgroupError::NotMounted);
        }
        Ok(found)
    }

    /// Reads the text of `/proc/self/mountinfo`.
    fn parse(mountinfo: &str) -> Self {
        let mut found = Self {
            controllers: Vec::new(),
            unified: None,
        };
        for line in mountinfo.lines() {
            let Some((mount, filesystem)) = line.split_once(" - ") else {
                continue;
            };
            let Some(point) = mount.split(' ').nth(4).map(PathBuf::from) else {
                continue;
            };
            match filesystem.split(' ').next() {
                Some("cgroup") if !found.controllers.contains(&point) => {
                    found.controllers.push(point);
                }
                Some("cgroup2") => found.unified = Some(point),
                _ => {}
            }
        }
        found
    }

    /// Whether resources are governed by version 1.
    pub(crate) fn is_version_1(&self) -> bool {
        !self.controllers.is_empty()
    }

    /// The hierarchy that every process of a cluster is in: version 2 where it is mounted, for its
    /// `cgroup.kill`; otherwise one whose controller limits nothing by itself.
    fn tracking(&self) -> &Path {
        let named = |name: &str| self.controllers.iter().find(|path| path.ends_with(name));
        self.unified
            .as_ref()
            .or_else(|| named("pids"))
            .or_else(|| named("freezer"))
            .or_else(|| self.controllers.first())
            .expect("`read` refuses a machine without hierarchies")
    }

    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        self.controllers.iter().chain(&self.unified)
    }

    /// Makes a cgroup for processes and returns the file that takes their pids.
    pub(crate) fn make_for_processes(&self, cgroup: &str) -> Result<PathBuf, CgroupError> {
        let path = self.tracking().join(cgroup);
        fs::create_dir_all(&path).map_err(FileError::at("make cgroup", &path))?;
        if self.tracking().ends_with("cpuset") {
            inherit_cpuset(self.tracking(), cgroup)?;
        }
        Ok(path.join("cgroup.procs"))
    }

    /// Makes a kubelet's root in every hierarchy, with all controllers handed down to it.
    pub(crate) fn make_root(&self, cgroup: &str) -> Result<(), CgroupError> {
        for hierarchy in self.all() {
            let path = hierarchy.join(cgroup);
            fs::create_dir_all(&path).map_err(FileError::at("make cgroup", &path))?;
            inherit_cpuset(hierarchy, cgroup)?;
        }
        if let Some(unified) = self.unified.as_ref().filter(|_| !self.is_version_1()) {
            let mut path = unified.clone();
            hand_down_controllers(&path)?;
            for part in Path::new(cgroup) {
                path.push(part);
                hand_down_controllers(&path)?;
            }
        }
        Ok(())
    }

    /// Kills every process below a cgroup and waits until none is left.
    pub(crate) async fn kill(&self, cgroup: &str) -> Result<(), CgroupError> {
        let path = self.tracking().join(cgroup);
        let deadline = Instant::now() + KILL_PATIENCE;
        loop {
            let left = processes_below(&path);
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(CgroupError::Unkillable(left));
            }
            if fs::write(path.join("cgroup.kill"), "1").is_err() {
                for pid in left {
                    kill(pid);
                }
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Removes a cgroup and all below it from every hierarchy. Its processes were killed.
    pub(crate) async fn remove(&self, cgroup: &str) -> Result<(), CgroupError> {
        for hierarchy in self.all() {
            let path = hierarchy.join(cgroup);
            let deadline = Instant::now() + KILL_PATIENCE;
            // A process that has just died keeps its cgroup busy until its parent has noticed.
            while let Err(error) = remove_tree(&path) {
                if error.kind() != io::ErrorKind::ResourceBusy || Instant::now() > deadline {
                    return Err(FileError::at("remove cgroup", &path)(error).into());
                }
                // One that was being started when the rest was killed joins late.
                processes_below(&path).into_iter().for_each(kill);
                sleep(LOOK_AGAIN).await;
            }
        }
        Ok(())
    }

    /// Whether any hierarchy has this cgroup.
    pub(crate) fn has(&self, cgroup: &str) -> bool {
        self.all().any(|hierarchy| hierarchy.join(cgroup).exists())
    }
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended since it was listed; the next look tells.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

fn processes_below(path: &Path) -> Vec<u32> {
    let listed = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    let mut found: Vec<u32> = listed
        .lines()
        .filter_map(|line| line.parse().ok())
        .collect();
    for child in child_folders(path) {
        found.extend(processes_below(&child));
    }
    found.retain(|pid| *pid != 0);
    found
}

fn child_folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}

fn remove_tree(path: &Path) -> io::Result<()> {
    for child in child_folders(path) {
        remove_tree(&child)?;
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A version 1 cpuset takes no process before it has processors and memory nodes.
fn inherit_cpuset(hierarchy: &Path, cgroup: &str) -> Result<(), CgroupError> {
    let mut parent = hierarchy.to_owned();
    for part in Path::new(cgroup) {
        let child = parent.join(part);
        for name in ["cpuset.cpus", "cpuset.mems"] {
            let (from, to) = (parent.join(name), child.join(name));
            let Ok(wanted) = fs::read_to_string(&from) else {
                continue;
            };
            if fs::read_to_string(&to).is_ok_and(|has| has.trim().is_empty()) {
                fs::write(&to, wanted.trim()).map_err(FileError::at("write", &to))?;
            }
        }
        parent = child;
    }
    Ok(())
}

fn hand_down_controllers(path: &Path) -> Result<(), CgroupError> {
    let controllers = path.join("cgroup.controllers");
    let named = fs::read_to_string(&controllers).map_err(FileError::at("read", &controllers))?;
    for controller in named.split_whitespace() {
        // Some cannot be handed down while the system holds them; the kubelet names those it lacks.
        let _ = fs::write(
            path.join("cgroup.subtree_control"),
            format!("+{controller}"),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 25 0:26 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
32 30 0:28 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
33 30 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    #[test]
    fn hierarchies_of_both_versions_are_found() {
        let found = Hierarchies::parse(HYBRID);
        assert!(found.is_version_1());
        assert_eq!(found.all().count(), 3);
        assert_eq!(found.tracking(), Path::new("/sys/fs/cgroup/unified"));
    }

    #[test]
    fn version_1_alone_is_tracked_by_pids() {
        let found = Hierarchies::parse(&HYBRID.replace("cgroup2", "x"));
        assert_eq!(found.tracking(), Path::new("/sys/fs/cgroup/pids"));
    }

    #[test]
    fn version_2_alone_is_no_version_1() {
        let found = Hierarchies::parse("30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        assert!(!found.is_version_1());
        assert_eq!(found.tracking(), Path::new("/sys/fs/cgroup"));
    }

    #[test]
    fn a_tree_of_folders_is_removed_from_below() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("a");
        fs::create_dir_all(root.join("b/c")).unwrap();
        remove_tree(&root).unwrap();
        assert!(!root.exists());
        remove_tree(&root).unwrap();
    }
}
