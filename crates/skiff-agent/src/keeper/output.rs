//! Takes what a stage writes on one node into the job's logs, and tells the keeper of its end.

use skiff_proto::{JobId, StageKind};
use tokio::sync::mpsc;

use super::{Command, cause};
use crate::job_log::JobLog;
use crate::queue::{Event, NodeEnd};
use crate::stages::{Stage, StageEvent};

/// Where the output of one stage on one node goes, and how its lines begin.
#[derive(Debug)]
pub(super) struct Output {
    /// The log of this stage alone, in the job's folder of logs.
    own: String,
    /// What stands before the process's number in the prefix, and behind it.
    before_pid: String,
    behind_pid: String,
}

impl Output {
    /// That of the only node of a cluster.
    pub(super) fn of_only_node(kind: StageKind, name: Option<&str>) -> Self {
        match kind {
            StageKind::Setup => Self::new("setup.log", "setup", ""),
            StageKind::Run => {
                let name = name.unwrap_or("task");
                Self::new("tasks/run.log", &format!("{name},"), "")
            }
        }
    }

    /// That of one node of several, which has this rank among those of the stage.
    pub(super) fn of_node(kind: StageKind, rank: usize, node: &str, address: &str) -> Self {
        let is_head = node == "head";
        let ip = if is_head {
            String::new()
        } else {
            format!(", ip={address}")
        };
        match kind {
            StageKind::Setup if is_head => Self::new("setup.log", "setup", &ip),
            StageKind::Setup => Self::new(&format!("setup-{node}.log"), "setup", &ip),
            StageKind::Run => {
                let own = format!("tasks/{rank}-{node}.log");
                Self::new(&own, &format!("{node}, rank={rank},"), &ip)
            }
        }
    }

    fn new(own: &str, before_pid: &str, behind_pid: &str) -> Self {
        Self {
            own: own.to_owned(),
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
        log: JobLog,
        commands: mpsc::Sender<Command>,
    ) {
        let mut source = None;
        while let Some(event) = stage.next().await {
            let end = match event {
                StageEvent::Started { pid } => {
                    let prefix = format!("{}{pid}{}", self.before_pid, self.behind_pid);
                    source = Some(log.source(&self.own, prefix));
                    continue;
                }
                StageEvent::Output(bytes) => {
                    if let Some(source) = &source {
                        source.output(&bytes);
                    }
                    continue;
                }
                StageEvent::Ended(end) => {
                    if let Some(source) = &source {
                        source.ended();
                    }
                    NodeEnd::Exited {
                        cause: cause::of(&end, log.has_lost()),
                        code: end.code,
                    }
                }
                StageEvent::NotStarted { cause } => NodeEnd::NotStarted { cause },
                StageEvent::Lost { why, .. } => NodeEnd::Lost { cause: why },
            };
            let event = Event::Ended { job, node, end };
            // The keeper is gone only when the agent is.
            let _ = commands.send(Command::Event(event)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use skiff_proto::StageKind;

    use super::Output;

    /// The file and the prefix of process 7.
    fn of(output: &Output) -> (String, String) {
        (
            output.own.clone(),
            format!("{}7{}", output.before_pid, output.behind_pid),
        )
    }

    #[test]
    fn lines_and_files_are_called_as_users_know_them() {
        let one = |kind, name| of(&Output::of_only_node(kind, name));
        let many = |kind, rank, node| of(&Output::of_node(kind, rank, node, "10.0.0.2"));
        for (got, file, prefix) in [
            (one(StageKind::Setup, None), "setup.log", "(setup pid=7) "),
            (one(StageKind::Run, None), "tasks/run.log", "(task, pid=7) "),
            (
                one(StageKind::Run, Some("train")),
                "tasks/run.log",
                "(train, pid=7) ",
            ),
            (
                many(StageKind::Setup, 1, "worker1"),
                "setup-worker1.log",
                "(setup pid=7, ip=10.0.0.2) ",
            ),
            (
                many(StageKind::Setup, 0, "head"),
                "setup.log",
                "(setup pid=7) ",
            ),
            (
                many(StageKind::Run, 0, "head"),
                "tasks/0-head.log",
                "(head, rank=0, pid=7) ",
            ),
            (
                many(StageKind::Run, 1, "worker2"),
                "tasks/1-worker2.log",
                "(worker2, rank=1, pid=7, ip=10.0.0.2) ",
            ),
        ] {
            assert_eq!(got, (file.to_owned(), prefix.to_owned()));
        }
    }
}
