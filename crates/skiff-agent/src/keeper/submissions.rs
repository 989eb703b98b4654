//! Submissions on their way to the queue: a job is in it, and its client told so, when its record is on the disk.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use skiff_proto::{Fault, FaultKind, JobId, JobRecord, JobSpec, LogSource};
use tokio::sync::oneshot;

use super::{JobHandle, Keeper, Kept};
use crate::clock::now_ms;
use crate::fault;
use crate::queue::{Event, Need, Queue, Work};
use crate::record;

/// What has been submitted.
pub(super) struct Submissions {
    known: HashMap<String, JobId>,
    /// Those that are being written.
    underway: BTreeMap<JobId, Underway>,
    next_id: JobId,
}

/// A job that is being written.
struct Underway {
    record: JobRecord,
    spec: Arc<JobSpec>,
    submitters: Vec<oneshot::Sender<Result<JobRecord, Fault>>>,
    /// Who wants to follow it.
    finders: Vec<oneshot::Sender<Option<JobHandle>>>,
}

impl Submissions {
    /// Those of the jobs that are there already.
    pub(super) fn new(queue: &Queue) -> Self {
        let known = queue
            .records()
            .map(|record| (record.submission.clone(), record.id));
        Self {
            known: known.collect(),
            underway: BTreeMap::new(),
            next_id: queue.last_id() + 1,
        }
    }
}

impl Keeper {
    pub(super) fn submit(
        &mut self,
        spec: JobSpec,
        answer: oneshot::Sender<Result<JobRecord, Fault>>,
    ) {
        // An answer that nobody waits for any more is no loss.
        if let Some(id) = self.submissions.known.get(&spec.submission) {
            if let Some(underway) = self.submissions.underway.get_mut(id) {
                underway.submitters.push(answer);
            } else if let Some(record) = self.queue.record(*id) {
                let _ = answer.send(Ok(record.clone()));
            }
            return;
        }
        if let Err(fault) = self.acceptable(&spec) {
            let _ = answer.send(Err(fault));
            return;
        }
        let id = self.submissions.next_id.max(spec.after.saturating_add(1));
        self.submissions.next_id = id.saturating_add(1);
        let name = record::log_name(id, spec.name.as_deref());
        let record = JobRecord::new(id, &spec, now_ms(), format!("~/sky_logs/{name}"));
        let spec = Arc::new(spec);
        self.recorder.create(record.clone(), Arc::clone(&spec));
        let submission = record.submission.clone();
        self.submissions.known.insert(submission, id);
        let underway = Underway {
            record,
            spec,
            submitters: vec![answer],
            finders: Vec::new(),
        };
        self.submissions.underway.insert(id, underway);
    }

    fn acceptable(&self, spec: &JobSpec) -> Result<(), Fault> {
        if self.queue.is_leaving() {
            let message = "the cluster is going down".to_owned();
            return Err(Fault {
                kind: FaultKind::ShuttingDown,
                message,
            });
        }
        match self.queue.refusal(need(spec)) {
            Some(message) => Err(Fault {
                kind: FaultKind::Invalid,
                message,
            }),
            None => Ok(()),
        }
    }

    /// A submitted job is on the disk, or cannot be.
    pub(super) fn created(&mut self, id: JobId, result: io::Result<()>) {
        let Some(underway) = self.submissions.underway.remove(&id) else {
            return;
        };
        let Underway {
            record,
            spec,
            submitters,
            finders,
        } = underway;
        // An answer that nobody waits for any more is no loss.
        if let Err(error) = result {
            self.submissions.known.remove(&record.submission);
            let dir = self.surroundings.layout.job_dir(id);
            let fault = fault::of(&error, "write the job", &dir);
            for submitter in submitters {
                let _ = submitter.send(Err(fault.clone()));
            }
            return;
        }
        for submitter in submitters {
            let _ = submitter.send(Ok(record.clone()));
        }
        let work = Work {
            setup: spec.setup.is_some(),
            run: spec.run.is_some(),
            need: need(&spec),
        };
        let mut kept = Kept::new(&self.surroundings.layout, &record, Some(spec));
        kept.say(&[waiting_line(record.num_nodes)]);
        for finder in finders {
            let _ = finder.send(Some(kept.handle()));
        }
        self.jobs.insert(id, kept);
        let record = Box::new(record);
        self.happen(Event::Submitted { record, work });
    }

    pub(super) fn find(&mut self, source: &LogSource, answer: oneshot::Sender<Option<JobHandle>>) {
        let id = match source {
            LogSource::Latest => self.jobs.last_key_value().map(|(id, _)| *id),
            LogSource::Id(id) => Some(*id),
            LogSource::Submission(submission) => self.submissions.known.get(submission).copied(),
        };
        let underway = id.and_then(|id| self.submissions.underway.get_mut(&id));
        match underway {
            Some(underway) => underway.finders.push(answer),
            // An answer that nobody waits for any more is no loss.
            None => drop(answer.send(id.and_then(|id| self.handle_of(id)))),
        }
    }
}

fn need(spec: &JobSpec) -> Need {
    Need {
        nodes: spec.num_nodes,
        milli_gpus: spec.milli_gpus,
    }
}

fn waiting_line(nodes: u32) -> String {
    let plural = if nodes == 1 { "" } else { "s" };
    format!("Waiting for task resources on {nodes} node{plural}.")
}
