//! Processes that a build step has left behind, where steps have no process namespace of their own: nobody else ends
//! them, and while they hold the step's output the builder waits for them for ever.
//!
//! They are in the step's mount namespace. The runtime that runs the step gets its orphans and waits for their output,
//! although the step itself has ended; where the runtime has gone too, they come to the wrapper.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

/// What tells mount namespaces apart.
pub(super) type MountNamespace = PathBuf;

/// The mount namespace of a process; None where it has gone.
pub(super) fn mount_namespace(process: &str) -> Option<MountNamespace> {
    fs::read_link(format!("/proc/{process}/ns/mnt")).ok()
}

/// What the runtime keeps of a step.
#[derive(Deserialize)]
struct State {
    init_process_pid: u32,
}

/// Ends what steps that are over have left behind; says how many processes that were.
pub(super) fn end(builders: &MountNamespace) -> usize {
    let own = mount_namespace("self");
    let orphans = children("self").into_iter();
    let of_steps = runtimes().into_iter().flat_map(|runtime| runtime.left());
    let left = orphans.chain(of_steps).filter(|process| {
        let namespace = mount_namespace(&process.to_string());
        namespace.is_some() && namespace != own && namespace.as_ref() != Some(builders)
    });
    let ended = left.filter_map(|process| Pid::from_raw(i32::try_from(process).ok()?));
    ended
        .filter(|process| kill_process(*process, Signal::KILL).is_ok())
        .count()
}

/// A runtime that runs a step.
struct Runtime {
    process: String,
    /// The name that it has given to the step.
    step: String,
}

/// The runtimes that run now.
fn runtimes() -> Vec<Runtime> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = processes.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(Runtime::of).collect()
}

impl Runtime {
    fn of(process: String) -> Option<Self> {
        process.parse::<u32>().ok()?;
        let line = fs::read(format!("/proc/{process}/cmdline")).ok()?;
        let step = step_of(&String::from_utf8_lossy(&line))?;
        Some(Self { process, step })
    }

    /// Its children, where the step's first process is none of them any more.
    fn left(&self) -> BTreeSet<u32> {
        let folder = std::env::var_os("XDG_RUNTIME_DIR").unwrap_or_else(|| "/run".into());
        let state = Path::new(&folder).join("runc").join(&self.step);
        let state: Option<State> = fs::read(state.join("state.json"))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        let children = children(&self.process);
        match state {
            Some(state) if !children.contains(&state.init_process_pid) => children,
            // It begins, or goes on.
            _ => BTreeSet::new(),
        }
    }
}

/// The step that a runtime's command line names.
fn step_of(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_terminator('\0').collect();
    let is_run = words.contains(&"run") && words.contains(&"--bundle");
    let step = words.last().filter(|word| !word.contains('/'))?;
    is_run.then(|| (*step).to_owned())
}

/// The children of all threads of a process.
fn children(process: &str) -> BTreeSet<u32> {
    let threads = fs::read_dir(format!("/proc/{process}/task"));
    let lists = threads.into_iter().flatten().flatten();
    let lists = lists.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            let numbers = list.split_whitespace();
            numbers
                .filter_map(|child| child.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{children, step_of};

    #[test]
    fn d05_a_runtime_is_known_by_its_command_line() {
        let line = "buildkit-runc\0--log\0/x/runc-log.json\0run\0--bundle\0/x/abc\0--keep\0abc\0";
        assert_eq!(step_of(line).as_deref(), Some("abc"));
        assert_eq!(step_of("buildkit-runc\0delete\0abc\0"), None);
        assert_eq!(step_of(""), None);
    }

    #[test]
    fn d05_children_of_any_thread_are_found() {
        let start = || {
            std::process::Command::new("sleep")
                .arg("1000")
                .spawn()
                .expect("it starts")
        };
        let mut child = std::thread::scope(|scope| scope.spawn(start).join().expect("it ends"));
        assert!(children("self").contains(&child.id()));
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    }
}
