//! One stage of a job as a process: its start, its output into the logs, its end.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::Pid;
use skiff_proto::{JobId, JobRecord, JobSpec, StageKind, StageOrder};
use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use crate::environment::{Place, Surroundings};
use crate::job_log::JobLog;
use crate::queue::Stage;
use crate::reaper::Reaper;
use crate::record;
use crate::shell::Shell;

/// How much output is taken in one read: what a pipe holds.
const CHUNK: usize = 64 << 10;

/// A stage could not be started.
#[derive(Debug, Error)]
pub(crate) enum StartError {
    /// There is no shell.
    #[error("the image has neither bash nor sh")]
    NoShell,
    /// The job's own log cannot be opened.
    #[error("cannot open {0}: {1}")]
    Log(PathBuf, io::Error),
    /// The folder to start in is gone.
    #[error("cannot enter {0}: {1}")]
    Workdir(PathBuf, io::Error),
    /// No pipe for its output.
    #[error("cannot make a pipe: {0}")]
    Pipe(io::Error),
    /// The system refused the process; mostly because the variables are too many.
    #[error("cannot start the job's shell: {0}")]
    Spawn(io::Error),
}

/// A stage that runs.
#[derive(Debug)]
pub(crate) struct Started {
    /// Its process, leader of its own session and group.
    pub(crate) pid: Pid,
    /// Its output, to be pumped.
    pub(crate) pump: Pump,
}

/// What to start.
#[derive(Debug)]
pub(crate) struct StageSpec<'a> {
    /// Setup or run.
    pub(crate) stage: Stage,
    /// The job whose script of this stage is run.
    pub(crate) scripts: JobId,
    /// The job's record.
    pub(crate) record: &'a JobRecord,
    /// The job's variables.
    pub(crate) spec: &'a JobSpec,
    /// The folder of its logs.
    pub(crate) logs: &'a Path,
}

impl StageSpec<'_> {
    /// Starts the stage. Must run where the reaper runs.
    pub(crate) fn start(
        &self,
        surroundings: &Surroundings,
        reaper: &Reaper,
        log: &Arc<Mutex<JobLog>>,
    ) -> Result<Started, StartError> {
        let in_setup = self.stage == Stage::Setup;
        let raw = self.logs.join(if in_setup {
            "setup.log"
        } else {
            "tasks/run.log"
        });
        let raw = open(&raw).map_err(|error| StartError::Log(raw, error))?;
        let variables = surroundings.variables(&self.order(surroundings));
        let path = variables.get(std::ffi::OsStr::new("PATH"));
        let shell = Shell::find(path).ok_or(StartError::NoShell)?;
        let layout = &surroundings.layout;
        let script =
            layout
                .job_dir(self.scripts)
                .join(if in_setup { record::SETUP } else { record::RUN });
        let workdir = &surroundings.home.workdir;
        fs::create_dir_all(workdir).map_err(|error| StartError::Workdir(workdir.clone(), error))?;

        let (output, writer) = io::pipe().map_err(StartError::Pipe)?;
        let output =
            pipe::Receiver::from_owned_fd(OwnedFd::from(output)).map_err(StartError::Pipe)?;
        let mut command = shell
            .command(layout, &script, writer)
            .map_err(StartError::Pipe)?;
        command.current_dir(workdir).env_clear().envs(&variables);
        let child = command.spawn().map_err(StartError::Spawn)?;
        let pid = Pid::from_child(&child);
        let name = self.record.name.as_deref().unwrap_or("task");
        let prefix = match self.stage {
            Stage::Setup => format!("(setup pid={}) ", pid.as_raw_nonzero()),
            _ => format!("({name}, pid={}) ", pid.as_raw_nonzero()),
        };
        let pump = Pump {
            output,
            raw,
            log: Arc::clone(log),
            prefix,
            exit: reaper.register(pid),
        };
        Ok(Started { pid, pump })
    }

    fn order(&self, surroundings: &Surroundings) -> StageOrder {
        let address = surroundings.own_or("SKIFF_POD_IP", "127.0.0.1");
        let kind = match self.stage {
            Stage::Setup => StageKind::Setup,
            _ => StageKind::Run,
        };
        let place = Place {
            kind,
            addresses: &[address.to_string_lossy().into_owned()],
            rank: 0,
            gpus: None,
        };
        StageOrder {
            job: self.record.id,
            kind,
            mark: surroundings.mark(self.record),
            script: String::new(),
            env: surroundings.ordered(self.spec, self.record, place),
            secrets: self.spec.secrets.clone(),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    File::options().append(true).create(true).open(path)
}

/// Moves a stage's output into the logs.
#[derive(Debug)]
pub(crate) struct Pump {
    output: pipe::Receiver,
    raw: File,
    log: Arc<Mutex<JobLog>>,
    prefix: String,
    exit: oneshot::Receiver<i32>,
}

impl Pump {
    /// Runs until the process has ended and all that it wrote is in the logs; gives its code. Processes
    /// that it left in the background go on writing, which goes on into the logs.
    pub(crate) async fn run(mut self) -> i32 {
        let mut buffer = vec![0; CHUNK];
        let code = loop {
            tokio::select! {
                biased;
                code = &mut self.exit => break code.unwrap_or(255),
                read = self.output.read(&mut buffer) => match read {
                    Ok(count) if count > 0 => self.take(&buffer[..count]),
                    _ => return self.exit.await.unwrap_or(255),
                },
            }
        };
        let open = self.drain(&mut buffer);
        if open {
            tokio::spawn(self.run_on(buffer));
        }
        code
    }

    /// Takes what is in the pipe now. True where a process still holds its other end.
    fn drain(&mut self, buffer: &mut [u8]) -> bool {
        // One pipe's content is what the ended process can have left; more comes from others.
        let mut left = rustix::pipe::fcntl_getpipe_size(&self.output).unwrap_or(CHUNK);
        while left > 0 {
            match self.output.try_read(buffer) {
                Ok(0) => return false,
                Ok(count) => {
                    self.take(&buffer[..count]);
                    left = left.saturating_sub(count);
                }
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
        true
    }

    async fn run_on(mut self, mut buffer: Vec<u8>) {
        while let Ok(count) = self.output.read(&mut buffer).await {
            if count == 0 {
                return;
            }
            self.take(&buffer[..count]);
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
}

/// The job of which a stage is running, and what is needed to end it.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    /// The leader of the stage's session and group.
    pub(crate) pid: Pid,
    /// The mark of the job's processes.
    pub(crate) mark: String,
}
