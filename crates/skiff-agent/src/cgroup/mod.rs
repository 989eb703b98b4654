//! What the kernel says of the container as a whole: its memory and its number of processes, in either version of cgroups.

mod memory;
mod pids;

pub(crate) use memory::{MemoryWatch, size};
pub(crate) use pids::PidsWatch;

use std::fs;
use std::path::{Path, PathBuf};

/// Where controllers are mounted in a container.
const MOUNT: &str = "/sys/fs/cgroup";

/// The folder of the container's own group for a controller of version 1, or for all of version 2: the first that has
/// the file of this name. A container sees its own group at the mount's root, a process outside of one below it.
fn group_with(mount: &Path, own: &str, controller: Option<&str>, file: &str) -> Option<PathBuf> {
    let wanted = |names: &str| match controller {
        Some(controller) => names.split(',').any(|name| name == controller),
        None => names.is_empty(),
    };
    let path = own.lines().find_map(|line| path_of(line, wanted))?;
    let base = controller.map_or_else(|| mount.to_owned(), |controller| mount.join(controller));
    [base.join(path.trim_start_matches('/')), base]
        .into_iter()
        .find(|dir| dir.join(file).is_file())
}

/// The group's path in one line of `/proc/self/cgroup`, where the line is for what is wanted.
fn path_of(line: &str, wanted: impl Fn(&str) -> bool) -> Option<&str> {
    let mut parts = line.splitn(3, ':').skip(1);
    let names = parts.next()?;
    wanted(names).then(|| parts.next()).flatten()
}

/// The number behind a word in a file of one word and number a line.
pub(crate) fn counted(file: &Path, word: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let (name, number) = line.split_once(' ')?;
        (name == word).then(|| number.trim().parse().ok())?
    })
}

/// The number that a file consists of.
pub(crate) fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}
