//! A job's logs as files on this machine, taken up where an earlier download ended.
//!
//! A small file beside them says which job they are of, and how far each of them came: so a part that the cluster does not
//! keep any more stays here, and nothing comes twice.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use skiff_compile::ClusterName;
use skiff_kube::Cluster;
use skiff_proto::{JobId, JobRecord, LogFile, LogPart, LogSource, Request, Response};
use skiff_wire::SessionError;

use crate::connect::Connection;
use crate::follow::{FollowError, LogOptions, Place, Retries, Sink, gap_line, read};
use crate::job::{JobError, explain};
use crate::{Reporter, User};

/// How far a download came, in the job's folder.
const STATE: &str = ".skiff-download.json";

/// One job's logs on this machine.
#[derive(Clone, Debug)]
pub struct Downloaded {
    /// The job.
    pub job: JobRecord,
    /// The folder.
    pub dir: PathBuf,
}

/// What is known of an earlier download.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    submission: String,
    logs: BTreeMap<String, Mark>,
}

/// At so many bytes of the file here, so many bytes of the log had come.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Mark {
    offset: u64,
    length: u64,
}

/// One job's record; None is the newest job.
pub async fn job(
    cluster: &Cluster,
    user: &User,
    name: &str,
    job: Option<JobId>,
) -> Result<JobRecord, JobError> {
    Ok(list(cluster, user, name, job).await?.0)
}

/// Downloads what there is of a job's logs into a folder of its own in `below`; None is the newest job.
pub async fn download_logs(
    cluster: &Cluster,
    user: &User,
    name: &str,
    job: Option<JobId>,
    below: &Path,
    reporter: &dyn Reporter,
) -> Result<Downloaded, JobError> {
    let (job, files) = list(cluster, user, name, job).await?;
    let folder = Path::new(&job.log_dir).file_name();
    let folder = folder.map_or_else(|| PathBuf::from(job.id.to_string()), PathBuf::from);
    let dir = below.join(folder);
    let pod = ClusterName::new(name, &user.hash)?.pod(0);
    for file in files.iter().filter(|file| is_plain(&file.name)) {
        let retries = Retries::new(cluster, &pod).answered();
        fetch(retries, &job, file, &dir, reporter).await?;
    }
    Ok(Downloaded { job, dir })
}

async fn list(
    cluster: &Cluster,
    user: &User,
    name: &str,
    job: Option<JobId>,
) -> Result<(JobRecord, Vec<LogFile>), JobError> {
    let pod = ClusterName::new(name, &user.hash)?.pod(0);
    let job = job.map_or(LogSource::Latest, LogSource::Id);
    let request = Request::LogFiles { job };
    let answer = async { Connection::open(cluster, &pod).await?.ask(request).await }.await;
    match answer.map_err(FollowError::Agent) {
        Ok(Response::LogFiles { job, files }) => Ok((job, files)),
        Ok(_) => Err(Connection::failed(&pod, SessionError::Unexpected).into()),
        Err(error) => Err(explain(cluster, user, name, error.into()).await),
    }
}

/// Brings one log up to date.
async fn fetch(
    retries: Retries<'_>,
    job: &JobRecord,
    log: &LogFile,
    dir: &Path,
    reporter: &dyn Reporter,
) -> Result<(), FollowError> {
    let mut copy = Copy::open(dir, &job.submission, &log.name).map_err(FollowError::Output)?;
    if copy.offset() >= log.end {
        return Ok(());
    }
    let options = LogOptions {
        job: Some(job.id),
        part: LogPart::File(log.name.clone()),
        follow: false,
        tail: None,
    };
    let mut place = Place::at(copy.offset());
    read(retries, None, &options, &mut place, &mut copy, reporter).await?;
    copy.mark(place.offset).map_err(FollowError::Output)
}

/// Whether a log may be written under its name: the agent is believed nothing that leads elsewhere.
fn is_plain(name: &str) -> bool {
    let parts: Vec<Component<'_>> = Path::new(name).components().collect();
    (1..=2).contains(&parts.len())
        && parts
            .iter()
            .all(|part| matches!(part, Component::Normal(name) if *name != STATE))
}

/// One log's copy on this machine.
struct Copy {
    dir: PathBuf,
    name: String,
    file: File,
    length: u64,
    state: State,
}

impl Copy {
    /// Takes up the copy that is there, or begins one.
    fn open(dir: &Path, submission: &str, name: &str) -> io::Result<Self> {
        let path = dir.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let known = fs::read(dir.join(STATE)).ok();
        let known = known.and_then(|bytes| serde_json::from_slice::<State>(&bytes).ok());
        let state = known.filter(|state| state.submission == submission);
        let mut state = state.unwrap_or_else(|| State {
            submission: submission.to_owned(),
            logs: BTreeMap::new(),
        });
        let file = File::options().append(true).create(true).open(path)?;
        let mut length = file.metadata()?.len();
        let is_known = state
            .logs
            .get(name)
            .is_some_and(|mark| mark.length <= length);
        if !is_known {
            file.set_len(0)?;
            length = 0;
            state.logs.insert(name.to_owned(), Mark::default());
        }
        let copy = Self {
            dir: dir.to_owned(),
            name: name.to_owned(),
            file,
            length,
            state,
        };
        copy.save()?;
        Ok(copy)
    }

    /// The offset of the first byte of the log that is not here. What came behind the mark came without a gap.
    fn offset(&self) -> u64 {
        let mark = self.state.logs.get(&self.name).copied().unwrap_or_default();
        mark.offset + (self.length - mark.length)
    }

    /// Writes down that the log has come up to here.
    fn mark(&mut self, offset: u64) -> io::Result<()> {
        let length = self.length;
        let mark = Mark { offset, length };
        self.state.logs.insert(self.name.clone(), mark);
        self.save()
    }

    fn save(&self) -> io::Result<()> {
        let path = self.dir.join(STATE);
        let fresh = path.with_extension("json.new");
        fs::write(&fresh, serde_json::to_vec(&self.state)?)?;
        fs::rename(fresh, path)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }
}

impl Sink for Copy {
    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.append(bytes)
    }

    fn gap(&mut self, offset: u64, bytes: u64) -> io::Result<()> {
        let feed = if offset == 0 { "" } else { "\n" };
        let line = format!("{feed}{}\n", gap_line(offset, bytes));
        self.append(line.as_bytes())?;
        self.mark(offset + bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{Copy, Sink, is_plain};

    #[test]
    fn a_copy_is_taken_up_where_it_ended() {
        let dir = tempfile::tempdir().expect("a folder");
        let open =
            |submission| Copy::open(dir.path(), submission, "tasks/run.log").expect("opened");
        let mut copy = open("a");
        assert_eq!(copy.offset(), 0);
        copy.data(b"one\n").expect("written");
        // Killed before it could write down how far it came.
        let mut copy = open("a");
        assert_eq!(copy.offset(), 4);
        copy.gap(4, 100).expect("written");
        copy.data(b"two\n").expect("written");
        let mut copy = open("a");
        assert_eq!(copy.offset(), 108);
        copy.mark(108).expect("written");
        assert_eq!(open("a").offset(), 108);
        let text = std::fs::read_to_string(dir.path().join("tasks/run.log")).expect("a copy");
        assert_eq!(
            text,
            "one\n\n[100 bytes of output were left out: the reader was too slow]\ntwo\n"
        );
        // Another cluster's job of the same number.
        assert_eq!(open("b").offset(), 0);
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        assert!(is_plain("run.log") && is_plain("tasks/0-head.log"));
        for name in [
            "",
            "..",
            "../run.log",
            "/etc/passwd",
            "tasks/../../x",
            "a/b/c",
        ] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
