//! The processes of a job, found by the mark in their variables and by their session: those that a
//! signal to the group does not reach.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

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

    /// The folders of the projects that Docker Compose runs for the job, as far as its processes still say so.
    pub(super) fn compose_projects(&self) -> BTreeSet<PathBuf> {
        let found = self.find().into_iter();
        found.flat_map(|found| projects_of(found.pid)).collect()
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

/// The folders that may be the project's of a `docker compose up`: the one that it runs in, and those of the files that it
/// was given. None where the process is no such.
fn projects_of(pid: Pid) -> Vec<PathBuf> {
    let raw = pid.as_raw_nonzero();
    let read = |file: &str| fs::read(format!("/proc/{raw}/{file}")).unwrap_or_default();
    let line = read("cmdline");
    let words = line.split(|byte| *byte == 0).map(OsStr::from_bytes);
    let Some(arguments) = behind_compose(words) else {
        return Vec::new();
    };
    let variables = read("environ");
    let mut variables = variables.split(|byte| *byte == 0);
    // Where a link leads there, Compose goes by the shell's name of the folder.
    let named = variables.find_map(|entry| entry.strip_prefix(b"PWD="));
    let named = named.map(|path| PathBuf::from(OsStr::from_bytes(path)));
    let current = fs::read_link(format!("/proc/{raw}/cwd")).ok();
    let mut folders = Vec::new();
    for folder in named.into_iter().chain(current) {
        for path in arguments.iter().map(|argument| folder.join(argument)) {
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                folders.extend(path.parent().map(Path::to_owned));
            }
        }
        folders.push(folder);
    }
    folders
}

/// What stands behind `compose` in the words of a command that brings a project up: the values of options too.
fn behind_compose<'a>(mut words: impl Iterator<Item = &'a OsStr>) -> Option<Vec<&'a OsStr>> {
    let is_compose = |word: &OsStr| {
        Path::new(word)
            .file_name()
            .is_some_and(|name| name == "compose" || name == "docker-compose")
    };
    words.find(|word| is_compose(word))?;
    let arguments: Vec<&OsStr> = words.filter(|word| !word.is_empty()).collect();
    let value = |word: &'a OsStr| match word.as_bytes().iter().position(|byte| *byte == b'=') {
        Some(at) if word.as_bytes().starts_with(b"-") => {
            OsStr::from_bytes(&word.as_bytes()[at + 1..])
        }
        _ => word,
    };
    arguments
        .contains(&OsStr::new("up"))
        .then(|| arguments.into_iter().map(value).collect())
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
    use std::ffi::OsStr;

    use super::{Stat, behind_compose};

    #[test]
    fn a_compose_that_brings_a_project_up_is_known_by_its_words() {
        let behind = |line: &'static str| {
            let words = behind_compose(line.split(' ').map(OsStr::new))?;
            words
                .into_iter()
                .map(OsStr::to_str)
                .collect::<Option<Vec<_>>>()
        };
        let expected = Some(vec!["-f", "a/b.yaml", "up", "web"]);
        for line in [
            "/skiff/tools/lib/loader --argv0 docker /skiff/tools/programs/docker compose -f a/b.yaml up web",
            "/usr/bin/docker-compose -f a/b.yaml up web",
        ] {
            assert_eq!(behind(line), expected, "{line}");
        }
        assert_eq!(
            behind("docker compose --file=b.yaml up"),
            Some(vec!["b.yaml", "up"])
        );
        for other in ["docker compose logs -f", "docker run up", "sleep 1"] {
            assert_eq!(behind(other), None, "{other}");
        }
    }

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
