//! Job records on disk: one folder a job, the record in one file that is replaced as a whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use skiff_proto::{JobId, JobRecord, JobSpec, JobStatus, paths};

use crate::layout::Layout;

/// A job's setup in its folder.
pub(crate) const SETUP: &str = "setup.sh";
/// A job's run command in its folder.
pub(crate) const RUN: &str = "run.sh";

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

/// Lays a new job down: its scripts, its log folder, and last its record, durably.
/// Leaves nothing behind where that fails.
pub(crate) fn create(layout: &Layout, record: &JobRecord, spec: &JobSpec) -> io::Result<()> {
    let logs = layout.log_dir(&log_name(record.id, record.name.as_deref()));
    let dir = layout.job_dir(record.id);
    let result = (|| {
        fs::DirBuilder::new().mode(0o700).create(&dir)?;
        fs::create_dir_all(logs.join("tasks"))?;
        File::create(logs.join("run.log"))?;
        for (name, text) in [(SETUP, &spec.setup), (RUN, &spec.run)] {
            if let Some(text) = text {
                write_new(&dir.join(name), text.as_bytes())?;
            }
        }
        replace(layout, record, true)?;
        File::open(&dir)?.sync_all()?;
        File::open(layout.at(paths::JOBS))?.sync_all()
    })();
    if result.is_err() {
        // What could be laid down is of no use; that it may not be removable changes nothing.
        let _ = fs::remove_dir_all(&dir);
        let _ = fs::remove_dir_all(&logs);
    }
    result
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
    /// The last job whose setup was begun and did not fail: what it did to the container, the container's
    /// restart has undone.
    pub(crate) setup: Option<JobId>,
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
        .map(|record| record.id);
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
