//! The processes of a job, found by the mark in their variables and by their session: those that a
//! signal to the group does not reach.

use std::fs;

use rustix::process::{Pid, Signal, getpid, kill_process, kill_process_group};

use crate::environment::MARK;

/// The processes of one stage's job on this node.
#[derive(Clone, Debug)]
pub(super) struct Processes {
    /// The leader of the stage's session and group.
    leader: Pid,
    /// The entry among the variables that marks the job's processes.
    mark: String,
}

/// One process of a job.
struct Found {
    pid: Pid,
    in_group: bool,
}

impl Processes {
    /// Those in this process's session, and those that bear this mark.
    pub(super) fn new(leader: Pid, mark: &str) -> Self {
        let mark = format!("{MARK}={mark}");
        Self { leader, mark }
    }

    /// Sends a signal to every one.
    pub(super) fn signal(&self, signal: Signal) {
        let found = self.find();
        // To the group at once, so that no process that forks meanwhile escapes. That a member was found shows that the
        // group is still the job's. Any of them may have ended by itself by now.
        if found.iter().any(|found| found.in_group) {
            let _ = kill_process_group(self.leader, signal);
        }
        for found in found.iter().filter(|found| !found.in_group) {
            let _ = kill_process(found.pid, signal);
        }
    }

    /// How many are alive.
    pub(super) fn count(&self) -> usize {
        self.find().len()
    }

    fn find(&self) -> Vec<Found> {
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        entries
            .flatten()
            .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
            .filter(|pid| *pid != getpid())
            .filter_map(|pid| belonging(pid, self.leader, self.mark.as_bytes()))
            .collect()
    }
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
