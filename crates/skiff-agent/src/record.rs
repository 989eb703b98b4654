//! Job records on disk: one folder a job, the record in one file that is replaced as a whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skiff_proto::{JobId, JobRecord, JobSpec, JobStatus, paths};

use crate::layout::Layout;

/// A job's setup in its folder.
const SETUP: &str = "setup.sh";

/// The folder of the job's logs within the logs folder: `1-train`; a job with no name has `None`
/// there, as `SkyPilot` writes it.
pub(crate) fn log_name(id: JobId, name: Option<&str>) -> String {
    let name: String = name
        .unwrap_or("None")
        .chars()
        .take(100)
        .map(|c| {
            if c.is_ascii_alphanumeric() || "._-".contains(c) {
                c
            } else {
                '-'
            }
        })
        .collect();
    format!("{id}-{name}")
}

/// A job that was accepted and is to be laid down.
#[derive(Clone, Debug)]
pub(crate) struct NewJob {
    /// Its record.
    pub(crate) record: JobRecord,
    /// What was submitted.
    pub(crate) spec: Arc<JobSpec>,
}

/// Lays new jobs down, durably: of each its setup, its log folder, and last its record. Leaves nothing behind of one
/// for which that fails. The results are in the order of the jobs.
pub(crate) fn create(layout: &Layout, jobs: &[NewJob]) -> Vec<io::Result<()>> {
    let mut results: Vec<_> = jobs.iter().map(|job| lay_down(layout, job)).collect();
    let all = File::open(layout.at(paths::JOBS)).and_then(|dir| dir.sync_all());
    for (job, result) in jobs.iter().zip(&mut results) {
        if let (Ok(()), Err(error)) = (&result, &all) {
            *result = Err(io::Error::new(error.kind(), error.to_string()));
        }
        if result.is_err() {
            // What could be laid down is of no use; that it may not be removable changes nothing.
            let _ = fs::remove_dir_all(layout.job_dir(job.record.id));
            let _ = fs::remove_dir_all(logs_of(layout, &job.record));
        }
    }
    results
}

fn lay_down(layout: &Layout, NewJob { record, spec }: &NewJob) -> io::Result<()> {
    let dir = layout.job_dir(record.id);
    fs::DirBuilder::new().mode(0o700).create(&dir)?;
    fs::create_dir_all(logs_of(layout, record).join("tasks"))?;
    // For the head's restart, after which it must run again. A run command never does.
    if let Some(setup) = &spec.setup {
        write_new(&dir.join(SETUP), setup.as_bytes())?;
    }
    replace(layout, record, true)?;
    File::open(&dir)?.sync_all()
}

fn logs_of(layout: &Layout, record: &JobRecord) -> PathBuf {
    layout.log_dir(&log_name(record.id, record.name.as_deref()))
}

/// The setup of a job.
pub(crate) fn read_setup(layout: &Layout, job: JobId) -> io::Result<String> {
    fs::read_to_string(layout.job_dir(job).join(SETUP))
}

/// Replaces the job's record on disk, as a whole: a reader sees the old one or the new one. The record
/// of an ended job outlives a crash of the node from here on; for one between, any that does will do, as
/// the job does not outlive it.
pub(crate) fn save(layout: &Layout, record: &JobRecord) -> io::Result<()> {
    replace(layout, record, record.status.is_final())
}

fn replace(layout: &Layout, record: &JobRecord, durably: bool) -> io::Result<()> {
    let dir = layout.job_dir(record.id);
    let (file, fresh) = (dir.join("record.json"), dir.join("record.json.tmp"));
    let bytes = serde_json::to_vec(record)?;
    let mut out = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    out.write_all(&bytes)?;
    if durably {
        out.sync_data()?;
    }
    fs::rename(fresh, file)
}

/// The jobs of earlier runs of the agent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    /// Their records, oldest first.
    pub(crate) records: Vec<JobRecord>,
    /// The highest number that was ever begun with; 0 where none was.
    pub(crate) last_id: JobId,
    /// The last setup that was begun and did not fail: what it did to the container, the container's
    /// restart has undone.
    pub(crate) setup: Option<PastSetup>,
}

/// A setup that ran before the agent's restart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PastSetup {
    /// Whose it was.
    pub(crate) job: JobId,
    /// Whether it had ended on all nodes.
    pub(crate) was_whole: bool,
}

/// All that is on disk. A folder without a readable record keeps its number and nothing more: its job
/// was never acknowledged.
pub(crate) fn load(layout: &Layout) -> io::Result<Past> {
    let mut past = Past::default();
    for entry in fs::read_dir(layout.at(paths::JOBS))? {
        let path = entry?.path();
        let Some(id) = number(&path) else { continue };
        past.last_id = past.last_id.max(id);
        past.records
            .extend(read(&path).filter(|record| record.id == id));
    }
    past.records.sort_by_key(|record| record.id);
    let is_setup = |record: &&JobRecord| {
        record.started_ms.is_some()
            && !matches!(record.status, JobStatus::FailedSetup | JobStatus::Cancelled)
            && layout.job_dir(record.id).join(SETUP).is_file()
    };
    past.setup = past
        .records
        .iter()
        .rev()
        .find(is_setup)
        .map(|record| PastSetup {
            job: record.id,
            was_whole: record.status != JobStatus::SettingUp,
        });
    Ok(past)
}

fn number(dir: &Path) -> Option<JobId> {
    dir.file_name()?.to_str()?.parse().ok()
}

fn read(dir: &Path) -> Option<JobRecord> {
    serde_json::from_slice(&fs::read(dir.join("record.json")).ok()?).ok()
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)
}
