//! The container's control groups, made ready for containers within: with version 2 a group that has
//! processes cannot have divided ones below, and a privileged container sees the node's whole tree.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, mount};
use rustix::thread::UnshareFlags;
use thiserror::Error;

const TREE: &str = "/sys/fs/cgroup";
const MAGIC_OF_VERSION_2: u64 = 0x6367_7270;
/// How often processes are moved: others may start, by `exec` into the container, while it goes on.
const ATTEMPTS: u32 = 50;

/// The tree cannot be made ready.
#[derive(Debug, Error)]
pub(crate) enum CgroupError {
    /// The container cannot get a view of its own group alone.
    #[error("cannot give the container its own view of control groups")]
    View(#[source] io::Error),
    /// Something in the tree refused.
    #[error("cannot divide the control groups at {0}")]
    Divide(PathBuf, #[source] io::Error),
}

/// Makes the tree ready; says what was found and done, for the report.
pub(super) fn divide() -> Result<String, CgroupError> {
    let tree = Path::new(TREE);
    let is_version_2 = rustix::fs::statfs(tree).is_ok_and(|found| {
        u64::try_from(found.f_type).is_ok_and(|magic| magic == MAGIC_OF_VERSION_2)
    });
    if !is_version_2 {
        return Ok("version 1".to_owned());
    }
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let is_own_view = own.lines().any(|line| line == "0::/");
    if !is_own_view {
        take_own_view(tree).map_err(CgroupError::View)?;
    }
    let controllers = divide_at(tree)?;
    Ok(format!("version 2, divided: {controllers}"))
}

/// From here on the tree begins at the container's own group: else containers would be made outside of
/// the pod's limits.
fn take_own_view(tree: &Path) -> io::Result<()> {
    #[expect(
        deprecated,
        reason = "the replacement is unsafe for the sake of flags that this is not: a view of control \
                  groups touches no memory and no file of this process"
    )]
    rustix::thread::unshare(UnshareFlags::NEWCGROUP)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("cgroup2", tree, "cgroup2", flags, None)?;
    Ok(())
}

/// Moves the processes of the tree's root to a leaf, and gives all controllers to those beside it.
fn divide_at(tree: &Path) -> Result<String, CgroupError> {
    let at = |name: &str| tree.join(name);
    let divide_error = |path: PathBuf| move |error| CgroupError::Divide(path, error);
    let leaf = at("init");
    match fs::create_dir(&leaf) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(CgroupError::Divide(leaf, error));
        }
        _ => {}
    }
    let controllers = at("cgroup.controllers");
    let list = fs::read_to_string(&controllers).map_err(divide_error(controllers))?;
    let wanted: Vec<String> = list
        .split_whitespace()
        .map(|name| format!("+{name}"))
        .collect();
    let wanted = wanted.join(" ");
    let mut refused = io::Error::from(io::ErrorKind::ResourceBusy);
    for _ in 0..ATTEMPTS {
        let processes = fs::read_to_string(at("cgroup.procs")).unwrap_or_default();
        for process in processes.split_whitespace() {
            // It may have ended; one that stays makes the next write fail.
            let _ = fs::write(leaf.join("cgroup.procs"), process);
        }
        match fs::write(at("cgroup.subtree_control"), &wanted) {
            Ok(()) => return Ok(list.trim().to_owned()),
            Err(error) => refused = error,
        }
    }
    Err(CgroupError::Divide(at("cgroup.subtree_control"), refused))
}

#[cfg(test)]
mod tests {
    use super::divide_at;

    #[test]
    fn processes_go_to_a_leaf_and_controllers_to_its_siblings() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("cgroup.controllers"), "cpu memory\n").expect("written");
        std::fs::write(dir.path().join("cgroup.procs"), "12\n").expect("written");
        assert_eq!(divide_at(dir.path()).expect("divided"), "cpu memory");
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).expect("readable");
        assert_eq!(read("init/cgroup.procs"), "12");
        assert_eq!(read("cgroup.subtree_control"), "+cpu +memory");
    }
}
