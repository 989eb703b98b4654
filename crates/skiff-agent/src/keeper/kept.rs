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
    pub(super) spec: JobSpec,
    /// The writing end of its log.
    pub(super) log: Arc<Mutex<JobLog>>,
    /// What ends its stage, once there is one.
    pub(super) running: Option<StageControl>,
}

impl Kept {
    /// Takes a job in; one with a specification is to run.
    pub(super) fn new(layout: &Layout, record: &JobRecord, spec: Option<JobSpec>) -> Self {
        let logs = layout.log_dir(&record::log_name(record.id, record.name.as_deref()));
        let log = logs.join("run.log");
        let log_len = std::fs::metadata(&log).map_or(0, |metadata| metadata.len());
        let view = JobView {
            record: record.clone(),
            log_len,
        };
        let view = Arc::new(watch::Sender::new(view));
        let live = spec.and_then(|spec| match JobLog::open(&log, Arc::clone(&view)) {
            Ok(log) => Some(Live {
                spec,
                log: Arc::new(Mutex::new(log)),
                running: None,
            }),
            Err(error) => {
                report(&format!("cannot open {}: {error}", log.display()));
                None
            }
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
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .lines(lines);
    }
}
