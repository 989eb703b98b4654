//! Components as detached processes: started with a record, found again, never confused.
//!
//! A process writes its own record (pid, start time, boot, origin) before it becomes the component, so that
//! none runs unrecorded however the starter ends; and a pid is believed only while start time and
//! boot agree, so that a recycled pid is never taken for ours.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use thiserror::Error;
use tokio::{
    io::AsyncReadExt,
    process::Command,
    time::{Instant, sleep},
};

use crate::{command::last_lines, file::FileError};

/// Joins the cgroup, writes the record, says so, then becomes the component.
///
/// Arguments: record, cgroup.procs, log, origin, command… The soft limit of open files is raised to the hard
/// one, because containers inherit it.
const BECOME: &str = r#"
set -ef
record=$1 cgroup=$2 log=$3 origin=$4
shift 4
start_of() { shift 21; echo "$1"; }
echo $$ >"$cgroup"
read -r stat </proc/$$/stat
read -r boot </proc/sys/kernel/random/boot_id
echo "$$ $(start_of $stat) $boot $origin" >"$record.tmp"
mv "$record.tmp" "$record"
ulimit -n "$(ulimit -Hn)" || true
echo started
exec "$@" >>"$log" 2>&1
"#;

/// How long a killed process may take to vanish.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// A component could not be started or stopped.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// A file of it could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The operating system refused.
    #[error("cannot start {program}")]
    Start {
        /// The executable.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended before it became the component.
    #[error("{program} did not start: {log}")]
    Died {
        /// The executable.
        program: String,
        /// The end of its log.
        log: String,
    },
    /// It stays although it was killed.
    #[error("process {0} stays although it was killed")]
    Unkillable(u32),
}

/// Everything that a component's process is started from.
pub(crate) struct Launch<'a> {
    /// Where its record goes.
    pub(crate) record: PathBuf,
    /// Where its output goes.
    pub(crate) log: PathBuf,
    /// The `cgroup.procs` file that it joins.
    pub(crate) cgroup: &'a Path,
    /// Executables and arguments that lead up to the record, such as `unshare`; may be empty.
    pub(crate) before: Vec<OsString>,
    /// The component's command line.
    pub(crate) command: Vec<OsString>,
    /// What it is started from, as [`crate::origin`] tells it; one word.
    pub(crate) origin: String,
    /// Its `PATH`.
    pub(crate) path: &'a OsStr,
}

impl Launch<'_> {
    /// Starts the process in a session of its own and returns once its record is written.
    pub(crate) async fn start(self) -> Result<(), ProcessError> {
        let program = self.command[0].to_string_lossy().into_owned();
        let start = |source| ProcessError::Start {
            program: program.clone(),
            source,
        };
        let log = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.log)
            .map_err(FileError::at("open", &self.log))?;
        let mut child = Command::new("setsid")
            .args(&self.before)
            .args(["sh", "-c", BECOME, "skiff"])
            .args([&self.record, self.cgroup, &self.log])
            .arg(&self.origin)
            .args(&self.command)
            .env("PATH", self.path)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(start)?;
        let mut said = String::new();
        if let Some(pipe) = child.stdout.as_mut() {
            pipe.read_to_string(&mut said).await.map_err(start)?;
        }
        if said.is_empty() {
            return Err(ProcessError::Died {
                program,
                log: log_end(&self.log),
            });
        }
        Ok(())
    }
}

/// The last lines of a log, for an error message.
pub(crate) fn log_end(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let last = last_lines(text.trim_end(), 3);
    if last.is_empty() {
        format!("{} is empty", log.display())
    } else {
        last
    }
}

/// A process that a record names and that still is the one that wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Running {
    pub(crate) pid: u32,
}

#[derive(Debug, PartialEq, Eq)]
struct Identity<'a> {
    pid: u32,
    start: u64,
    boot: &'a str,
}

fn parse_record(text: &str) -> Option<Identity<'_>> {
    let mut words = text.split_whitespace();
    Some(Identity {
        pid: words.next()?.parse().ok()?,
        start: words.next()?.parse().ok()?,
        boot: words.next()?,
    })
}

/// The start time in `/proc/<pid>/stat`; `None` for a process that has ended and waits to be reaped.
fn start_time(stat: &str) -> Option<u64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if matches!(*fields.first()?, "Z" | "X") {
        return None;
    }
    fields.get(19)?.parse().ok()
}

/// Finds the process that a record names, if it still runs.
pub(crate) fn running(record: &Path) -> Option<Running> {
    let text = fs::read_to_string(record).ok()?;
    let identity = parse_record(&text)?;
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    if identity.boot != boot.trim() {
        return None;
    }
    let stat = fs::read_to_string(format!("/proc/{}/stat", identity.pid)).ok()?;
    (start_time(&stat)? == identity.start).then_some(Running { pid: identity.pid })
}

/// What the process that a record names was started from; older builds did not write it.
pub(crate) fn origin(record: &Path) -> Option<String> {
    let text = fs::read_to_string(record).ok()?;
    text.split_whitespace().nth(3).map(str::to_owned)
}

/// Kills the process that a record names, waits until it is gone, and removes the record.
pub(crate) async fn kill(record: &Path) -> Result<(), ProcessError> {
    if let Some(process) = running(record) {
        let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
        if let Some(handle) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) {
            // The handle names one process for good; looked at once more, it is the recorded one.
            if running(record) == Some(process) {
                let _ = pidfd_send_signal(&handle, Signal::KILL);
            }
        }
        let deadline = Instant::now() + KILL_PATIENCE;
        while running(record).is_some() {
            if Instant::now() > deadline {
                return Err(ProcessError::Unkillable(process.pid));
            }
            sleep(LOOK_AGAIN).await;
        }
    }
    Ok(crate::file::remove(record)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_survives_odd_names() {
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20";
        assert_eq!(start_time(stat), Some(777));
        assert_eq!(start_time(&stat.replace(" S ", " Z ")), None);
    }

    #[test]
    fn a_record_of_another_start_or_boot_names_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("x");
        let pid = std::process::id();
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let began = start_time(&stat).unwrap();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let boot = boot.trim();
        for (text, expected) in [
            (format!("{pid} {began} {boot}"), Some(Running { pid })),
            (format!("{pid} {} {boot}", began + 1), None),
            (format!("{pid} {began} other"), None),
            ("junk".to_owned(), None),
        ] {
            fs::write(&record, &text).unwrap();
            assert_eq!(running(&record), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn a_started_process_is_recorded_and_killed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let launch = Launch {
            record: path("record"),
            log: path("log"),
            cgroup: &path("procs"),
            before: Vec::new(),
            command: vec!["sleep".into(), "600".into()],
            origin: "abc".to_owned(),
            path: OsStr::new("/usr/bin:/bin"),
        };
        launch.start().await.unwrap();
        let process = running(&path("record")).unwrap();
        let joined = fs::read_to_string(path("procs")).unwrap();
        assert_eq!(joined.trim(), process.pid.to_string());
        assert_eq!(origin(&path("record")).as_deref(), Some("abc"));
        kill(&path("record")).await.unwrap();
        assert_eq!(running(&path("record")), None);
        assert!(!path("record").exists());
    }

    #[tokio::test]
    async fn a_start_that_fails_shows_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let launch = Launch {
            record: folder.path().join("record"),
            log: folder.path().join("log"),
            cgroup: Path::new("/nonexistent/procs"),
            before: Vec::new(),
            command: vec!["sleep".into()],
            origin: String::new(),
            path: OsStr::new("/usr/bin:/bin"),
        };
        let error = launch.start().await.unwrap_err();
        assert!(error.to_string().contains("/nonexistent/procs"), "{error}");
    }
}
