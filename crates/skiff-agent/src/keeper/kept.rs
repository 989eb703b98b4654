//! What the keeper holds of each job.

use std::sync::Arc;

use skiff_proto::{JobRecord, JobSpec};
use tokio::sync::watch;

use crate::job_log::{JobLog, JobView, LogFolder};
use crate::layout::Layout;
use crate::record;
use crate::report;
use crate::stages::StageControl;

/// A job as those see it who follow it.
#[derive(Clone, Debug)]
pub(crate) struct JobHandle {
    /// Its record, now and whenever it changes.
    pub(crate) view: watch::Receiver<JobView>,
    /// Its logs.
    pub(crate) logs: Arc<LogFolder>,
}

/// All that belongs to one job.
#[derive(Debug)]
pub(super) struct Kept {
    view: watch::Sender<JobView>,
    /// Its logs.
    logs: Arc<LogFolder>,
    /// What only an unfinished job has.
    pub(super) live: Option<Live>,
}

/// What a job needs to run.
#[derive(Debug)]
pub(super) struct Live {
    /// What was submitted, its variables included.
    pub(super) spec: Arc<JobSpec>,
    /// What ends its stage, by node, once there is one.
    pub(super) running: Vec<(u32, StageControl)>,
    logs: Arc<LogFolder>,
    /// The writing end of its logs, from its first stage on: of a thousand queued jobs none holds a file open.
    log: Option<JobLog>,
}

impl Kept {
    /// Takes a job in; one with a specification is to run.
    pub(super) fn new(layout: &Layout, record: &JobRecord, spec: Option<Arc<JobSpec>>) -> Self {
        let logs = layout.log_dir(&record::log_name(record.id, record.name.as_deref()));
        let logs = Arc::new(LogFolder::new(logs));
        let view = JobView {
            record: record.clone(),
        };
        let view = watch::Sender::new(view);
        let live = spec.map(|spec| Live {
            spec,
            running: Vec::new(),
            logs: Arc::clone(&logs),
            log: None,
        });
        Self { view, logs, live }
    }

    /// The job for a follower.
    pub(super) fn handle(&self) -> JobHandle {
        JobHandle {
            view: self.view.subscribe(),
            logs: Arc::clone(&self.logs),
        }
    }

    /// Appends lines of the agent's own to the log.
    pub(super) fn say(&mut self, lines: &[String]) {
        if let Some(live) = &self.live {
            live.say(lines);
        }
    }

    /// Tells the job's stages on these nodes to end.
    pub(super) fn terminate(&self, nodes: &[u32]) {
        let running = self.live.iter().flat_map(|live| &live.running);
        for (_, stage) in running.filter(|(node, _)| nodes.contains(node)) {
            stage.terminate();
        }
    }

    /// Tells the followers. An ended job needs nothing any more of what it ran with.
    pub(super) fn publish(&mut self, record: &JobRecord) {
        self.view.send_modify(|view| view.record.clone_from(record));
        if record.status.is_final() {
            self.live = None;
        }
    }
}

impl Live {
    /// Appends lines of the agent's own to the log.
    pub(super) fn say(&self, lines: &[String]) {
        if let Some(log) = self.log.clone().or_else(|| self.open()) {
            log.lines(lines);
        }
    }

    /// The logs, open from now on; None where they cannot be written.
    pub(super) fn open_log(&mut self) -> Option<JobLog> {
        if self.log.is_none() {
            self.log = self.open();
        }
        self.log.clone()
    }

    fn open(&self) -> Option<JobLog> {
        match JobLog::open(Arc::clone(&self.logs), &self.spec.secrets) {
            Ok(log) => Some(log),
            Err(error) => {
                report(&format!(
                    "cannot open {}: {error}",
                    self.logs.dir().display()
                ));
                None
            }
        }
    }
}
