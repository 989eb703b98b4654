//! Takes what a stage writes on one node into the job's logs, and tells the keeper of its end.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use skiff_proto::{JobId, StageKind};
use tokio::sync::mpsc;

use super::{Command, cause};
use crate::job_log::JobLog;
use crate::queue::{Event, NodeEnd};
use crate::report;
use crate::stages::{Stage, StageEvent};

/// Where the output of one stage on one node goes, and how its lines begin.
#[derive(Debug)]
pub(super) struct Output {
    raw: PathBuf,
    /// What stands before the process's number in the prefix, and behind it.
    before_pid: String,
    behind_pid: String,
}

impl Output {
    /// That of the only node of a cluster.
    pub(super) fn of_only_node(logs: &Path, kind: StageKind, name: Option<&str>) -> Self {
        match kind {
            StageKind::Setup => Self::new(logs.join("setup.log"), "setup", ""),
            StageKind::Run => {
                let name = name.unwrap_or("task");
                Self::new(logs.join("tasks/run.log"), &format!("{name},"), "")
            }
        }
    }

    /// That of one node of several, which has this rank among those of the stage.
    pub(super) fn of_node(
        logs: &Path,
        kind: StageKind,
        rank: usize,
        node: &str,
        address: &str,
    ) -> Self {
        let is_head = node == "head";
        let ip = if is_head {
            String::new()
        } else {
            format!(", ip={address}")
        };
        match kind {
            StageKind::Setup if is_head => Self::new(logs.join("setup.log"), "setup", &ip),
            StageKind::Setup => Self::new(logs.join(format!("setup-{node}.log")), "setup", &ip),
            StageKind::Run => {
                let raw = logs.join(format!("tasks/{rank}-{node}.log"));
                Self::new(raw, &format!("{node}, rank={rank},"), &ip)
            }
        }
    }

    fn new(raw: PathBuf, before_pid: &str, behind_pid: &str) -> Self {
        Self {
            raw,
            before_pid: format!("({before_pid} pid="),
            behind_pid: format!("{behind_pid}) "),
        }
    }

    /// Takes everything that happens to the stage. Processes that it left in the background go on writing, which goes on
    /// into the logs.
    pub(super) async fn follow(
        self,
        job: JobId,
        node: u32,
        mut stage: Stage,
        log: Arc<Mutex<JobLog>>,
        commands: mpsc::Sender<Command>,
    ) {
        let mut raw = match open(&self.raw) {
            Ok(raw) => Some(raw),
            Err(error) => {
                report(&format!("cannot open {}: {error}", self.raw.display()));
                None
            }
        };
        let log = || log.lock().unwrap_or_else(PoisonError::into_inner);
        let mut prefix = String::new();
        while let Some(event) = stage.next().await {
            let end = match event {
                StageEvent::Started { pid } => {
                    prefix = format!("{}{pid}{}", self.before_pid, self.behind_pid);
                    continue;
                }
                StageEvent::Output(bytes) => {
                    if let Some(raw) = &mut raw {
                        // A full disk shows in the job's log as soon as that can be written again.
                        let _ = raw.write_all(&bytes);
                    }
                    log().output(&prefix, &bytes);
                    continue;
                }
                StageEvent::Ended(end) => NodeEnd::Exited {
                    cause: cause::of(&end, log().has_lost()),
                    code: end.code,
                },
                StageEvent::NotStarted { cause } => NodeEnd::NotStarted { cause },
                StageEvent::Lost { why, .. } => NodeEnd::Lost { cause: why },
            };
            let event = Event::Ended { job, node, end };
            // The keeper is gone only when the agent is.
            let _ = commands.send(Command::Event(event)).await;
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    File::options().append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use skiff_proto::StageKind;

    use super::Output;

    /// The file and the prefix of process 7.
    fn of(output: &Output) -> (String, String) {
        let raw = output.raw.display().to_string();
        (raw, format!("{}7{}", output.before_pid, output.behind_pid))
    }

    #[test]
    fn lines_and_files_are_called_as_users_know_them() {
        let logs = Path::new("l");
        let one = |kind, name| of(&Output::of_only_node(logs, kind, name));
        let many = |kind, rank, node| of(&Output::of_node(logs, kind, rank, node, "10.0.0.2"));
        for (got, file, prefix) in [
            (one(StageKind::Setup, None), "l/setup.log", "(setup pid=7) "),
            (
                one(StageKind::Run, None),
                "l/tasks/run.log",
                "(task, pid=7) ",
            ),
            (
                one(StageKind::Run, Some("train")),
                "l/tasks/run.log",
                "(train, pid=7) ",
            ),
            (
                many(StageKind::Setup, 1, "worker1"),
                "l/setup-worker1.log",
                "(setup pid=7, ip=10.0.0.2) ",
            ),
            (
                many(StageKind::Setup, 0, "head"),
                "l/setup.log",
                "(setup pid=7) ",
            ),
            (
                many(StageKind::Run, 0, "head"),
                "l/tasks/0-head.log",
                "(head, rank=0, pid=7) ",
            ),
            (
                many(StageKind::Run, 1, "worker2"),
                "l/tasks/1-worker2.log",
                "(worker2, rank=1, pid=7, ip=10.0.0.2) ",
            ),
        ] {
            assert_eq!(got, (file.to_owned(), prefix.to_owned()));
        }
    }
}
