//! Processes that a build step has left behind, where steps have no process namespace of their own: nobody else ends
//! them, and while they hold the step's output the builder waits for them for ever.
//!
//! While a step runs, its runtime gets its orphans. Once the runtime has gone they come to the wrapper, still in the
//! step's mount namespace: that is how they are known.

use std::fs;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, getpid, kill_process};

/// What tells mount namespaces apart.
pub(super) type MountNamespace = PathBuf;

/// The mount namespace of a process; None where it has gone.
pub(super) fn mount_namespace(process: &str) -> Option<MountNamespace> {
    fs::read_link(format!("/proc/{process}/ns/mnt")).ok()
}

/// Ends the wrapper's children that are in neither its own mount namespace nor the builder's; says how many.
pub(super) fn end(builders: &MountNamespace) -> usize {
    let own = mount_namespace("self");
    let pid = getpid().as_raw_pid();
    let children =
        fs::read_to_string(format!("/proc/self/task/{pid}/children")).unwrap_or_default();
    let left = children.split_whitespace().filter(|child| {
        let namespace = mount_namespace(child);
        namespace.is_some() && namespace != own && namespace.as_ref() != Some(builders)
    });
    let ended = left.filter_map(|child| Pid::from_raw(child.parse().ok()?));
    ended
        .filter(|child| kill_process(*child, Signal::KILL).is_ok())
        .count()
}
