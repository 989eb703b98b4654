//! What the keeper holds of each job.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use skiff_proto::{JobRecord, JobSpec};
use tokio::sync::watch;

use crate::job_log::{JobLog, JobView};
use crate::layout::Layout;
use crate::record;
use crate::report;
use crate::stages::StageControl;

/// A job as those see it who follow it.
#[derive(Clone, Debug)]
pub(crate) struct JobHandle {
    /// Its record and the length of its log, now and whenever they change.
    pub(crate) view: watch::Receiver<JobView>,
    /// The file of its log.
    pub(crate) log: PathBuf,
}

/// All that belongs to one job.
#[derive(Debug)]
pub(super) struct Kept {
    view: Arc<watch::Sender<JobView>>,
    /// The folder of its logs.
    pub(super) logs: PathBuf,
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
    view: Arc<watch::Sender<JobView>>,
    path: PathBuf,
    /// The writing end of its log, from its first stage on: of a thousand queued jobs none holds a file open.
    log: Option<Arc<Mutex<JobLog>>>,
}

impl Kept {
    /// Takes a job in; one with a specification is to run.
    pub(super) fn new(layout: &Layout, record: &JobRecord, spec: Option<Arc<JobSpec>>) -> Self {
        let logs = layout.log_dir(&record::log_name(record.id, record.name.as_deref()));
        let path = logs.join("run.log");
        let log_len = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        let view = JobView {
            record: record.clone(),
            log_len,
        };
        let view = Arc::new(watch::Sender::new(view));
        let live = spec.map(|spec| Live {
            spec,
            running: Vec::new(),
            view: Arc::clone(&view),
            path,
            log: None,
        });
        Self { view, logs, live }
    }

    /// The job for a follower.
    pub(super) fn handle(&self) -> JobHandle {
        JobHandle {
            view: self.view.subscribe(),
            log: self.logs.join("run.log"),
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
        let log = self.log.clone().or_else(|| self.open());
        if let Some(log) = log {
            log.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .lines(lines);
        }
    }

    /// The log, open from now on; None where it cannot be written.
    pub(super) fn open_log(&mut self) -> Option<Arc<Mutex<JobLog>>> {
        if self.log.is_none() {
            self.log = self.open();
        }
        self.log.clone()
    }

    fn open(&self) -> Option<Arc<Mutex<JobLog>>> {
        match JobLog::open(&self.path, Arc::clone(&self.view)) {
            Ok(log) => Some(Arc::new(Mutex::new(log))),
            Err(error) => {
                report(&format!("cannot open {}: {error}", self.path.display()));
                None
            }
        }
    }
}
