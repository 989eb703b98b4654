//! Writes the jobs' records in the order in which they change, beside everything else.
//!
//! What waits is written at once: of several changes of one job the last, and many new jobs with one wait for the disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use skiff_proto::{JobId, JobRecord, JobSpec};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Command;
use crate::layout::Layout;
use crate::record::{self, NewJob};
use crate::report;

/// What is taken from the queue at once.
const BATCH: usize = 256;

/// The way to the disk.
pub(super) struct Recorder {
    /// As long as what it holds are records of this agent's own jobs, whose clients wait for the answers.
    writes: mpsc::UnboundedSender<Write>,
    task: JoinHandle<()>,
}

enum Write {
    Create(NewJob),
    Save(JobRecord),
}

impl Recorder {
    /// Starts to write; tells the keeper when a new job is there.
    pub(super) fn start(layout: Layout, keeper: mpsc::Sender<Command>) -> Self {
        let (writes, waiting) = mpsc::unbounded_channel();
        let task = tokio::spawn(write_all(layout, waiting, keeper));
        Self { writes, task }
    }

    /// Lays a new job down; the keeper is told when that is done.
    pub(super) fn create(&self, record: JobRecord, spec: Arc<JobSpec>) {
        // The task ends only with this.
        let _ = self.writes.send(Write::Create(NewJob { record, spec }));
    }

    /// Replaces a job's record.
    pub(super) fn save(&self, record: JobRecord) {
        // The task ends only with this.
        let _ = self.writes.send(Write::Save(record));
    }

    /// Writes what still waits.
    pub(super) async fn finish(self) {
        drop(self.writes);
        // It ends when it has written everything.
        let _ = self.task.await;
    }
}

async fn write_all(
    layout: Layout,
    mut waiting: mpsc::UnboundedReceiver<Write>,
    keeper: mpsc::Sender<Command>,
) {
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let mut new = Vec::new();
        let mut changed = BTreeMap::new();
        for write in batch.drain(..) {
            match write {
                Write::Create(job) => new.push(job),
                Write::Save(record) => drop(changed.insert(record.id, record)),
            }
        }
        if !new.is_empty() {
            let (ids, layout): (Vec<JobId>, _) = (
                new.iter().map(|job| job.record.id).collect(),
                layout.clone(),
            );
            let results = on_disk(move || record::create(&layout, &new)).await;
            for (id, result) in ids.into_iter().zip(results) {
                // The keeper is gone only when the agent is.
                let _ = keeper.send(Command::Created(id, result)).await;
            }
        }
        if !changed.is_empty() {
            let layout = layout.clone();
            on_disk(move || save_all(&layout, changed.into_values())).await;
        }
    }
}

fn save_all(layout: &Layout, records: impl Iterator<Item = JobRecord>) {
    for record in records {
        if let Err(error) = record::save(layout, &record) {
            let id = record.id;
            report(&format!("cannot write the record of job {id}: {error}"));
        }
    }
}

/// Does what waits for the disk on a thread of its own, so that logs and answers go on meanwhile.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("the work does not panic and is never aborted")
}
