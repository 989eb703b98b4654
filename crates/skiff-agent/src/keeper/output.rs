//! Takes what a stage writes into the job's logs, and tells the keeper of its end.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use skiff_proto::{JobId, StageKind};
use tokio::sync::mpsc;

use super::{Command, cause};
use crate::job_log::JobLog;
use crate::queue::Event;
use crate::stages::{Stage, StageEvent};

/// The code of a stage of which nobody can tell how it ended.
const LOST: i32 = 137;

/// The logs of one stage.
#[derive(Debug)]
pub(super) struct Output {
    raw: File,
    log: Arc<Mutex<JobLog>>,
    kind: StageKind,
    name: String,
    prefix: String,
}

impl Output {
    /// Opens the stage's own log in the job's folder of logs.
    pub(super) fn new(
        logs: &Path,
        kind: StageKind,
        name: &str,
        log: Arc<Mutex<JobLog>>,
    ) -> io::Result<Self> {
        let raw = logs.join(match kind {
            StageKind::Setup => "setup.log",
            StageKind::Run => "tasks/run.log",
        });
        if let Some(dir) = raw.parent() {
            fs::create_dir_all(dir)?;
        }
        Ok(Self {
            raw: File::options().append(true).create(true).open(raw)?,
            log,
            kind,
            name: name.to_owned(),
            prefix: String::new(),
        })
    }

    /// Takes everything that happens to the stage. Processes that it left in the background go on writing, which goes on
    /// into the logs.
    pub(super) async fn follow(
        mut self,
        job: JobId,
        mut stage: Stage,
        commands: mpsc::Sender<Command>,
    ) {
        while let Some(event) = stage.next().await {
            let event = match event {
                StageEvent::Started { pid } => {
                    self.prefix = match self.kind {
                        StageKind::Setup => format!("(setup pid={pid}) "),
                        StageKind::Run => format!("({}, pid={pid}) ", self.name),
                    };
                    continue;
                }
                StageEvent::Output(bytes) => {
                    self.take(&bytes);
                    continue;
                }
                StageEvent::Ended(end) => Event::Exited {
                    job,
                    code: end.code,
                    cause: cause::of(&end, self.has_lost()),
                },
                StageEvent::NotStarted { cause } => Event::NotStarted { job, cause },
                StageEvent::Lost { node, why } => Event::Exited {
                    job,
                    code: LOST,
                    cause: Some(format!("node {node} was lost: {why}")),
                },
            };
            // The keeper is gone only when the agent is.
            let _ = commands.send(Command::Event(event)).await;
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        // A full disk shows in the job's log as soon as that can be written again.
        let _ = self.raw.write_all(bytes);
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .output(&self.prefix, bytes);
    }

    fn has_lost(&self) -> bool {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .has_lost()
    }
}
