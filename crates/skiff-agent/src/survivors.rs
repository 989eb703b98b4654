//! The processes of a job, found by the mark in their variables and by their session: those that a
//! signal to the group does not reach.

use std::fs;

use rustix::process::{Pid, Signal, getpid, kill_process, kill_process_group};

use crate::environment::MARK;
use crate::process::Running;

/// One process of a job.
struct Found {
    pid: Pid,
    in_group: bool,
}

/// Sends a signal to every process of the job.
pub(crate) fn signal(running: &Running, signal: Signal) {
    let found = find(running);
    // To the group at once, so that no process that forks meanwhile escapes. That a member was found
    // shows that the group is still the job's. Any of them may have ended by itself by now.
    if found.iter().any(|found| found.in_group) {
        let _ = kill_process_group(running.pid, signal);
    }
    for found in found.iter().filter(|found| !found.in_group) {
        let _ = kill_process(found.pid, signal);
    }
}

/// How many processes of the job are alive.
pub(crate) fn count(running: &Running) -> usize {
    find(running).len()
}

fn find(running: &Running) -> Vec<Found> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mark = format!("{MARK}={}", running.mark);
    entries
        .flatten()
        .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
        .filter(|pid| *pid != getpid())
        .filter_map(|pid| belonging(pid, running.pid, mark.as_bytes()))
        .collect()
}

fn belonging(pid: Pid, leader: Pid, mark: &[u8]) -> Option<Found> {
    let raw = pid.as_raw_nonzero();
    let stat = Stat::parse(&fs::read(format!("/proc/{raw}/stat")).ok()?)?;
    if matches!(stat.state, b'Z' | b'X') {
        return None;
    }
    let leader = leader.as_raw_nonzero().get();
    let is_marked = || {
        fs::read(format!("/proc/{raw}/environ"))
            .is_ok_and(|all| all.split(|byte| *byte == 0).any(|entry| entry == mark))
    };
    let found = Found {
        pid,
        in_group: stat.group == leader,
    };
    (stat.session == leader || is_marked()).then_some(found)
}

/// What the kernel says of a process in one line.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: u8,
    group: i32,
    session: i32,
}

impl Stat {
    /// The name in parentheses may hold anything, spaces and parentheses too.
    fn parse(line: &[u8]) -> Option<Self> {
        let behind = line.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(line.get(behind + 2..)?).ok()?;
        let mut fields = rest.split(' ');
        let state = *fields.next()?.as_bytes().first()?;
        // The parent comes between.
        let group = fields.nth(1)?.parse().ok()?;
        let session = fields.next()?.parse().ok()?;
        Some(Self {
            state,
            group,
            session,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Stat;

    #[test]
    fn a_name_with_parentheses_does_not_mislead() {
        let stat = Stat {
            state: b'S',
            group: 12,
            session: 34,
        };
        assert_eq!(Stat::parse(b"12 (a) b) S 1 12 34 0 -1"), Some(stat));
        assert_eq!(Stat::parse(b"12 (a"), None);
    }
}
