//! A stage's process: its start, its output, its end.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Pid;
use skiff_proto::{StageEnd, StageOrder};
use thiserror::Error;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::count::Counted;
use super::ending::{self, Ending};
use super::processes::Processes;
use super::script::Script;
use super::witness::Witness;
use super::{Driver, StageEvent, Stages};
use crate::docker_login;
use crate::shell::Shell;

/// How much output is taken in one read: what a pipe holds.
const CHUNK: usize = 64 << 10;
/// The code of a process that not even SIGKILL could end.
const KILLED: i32 = 137;

/// How long a process that has died takes to be reaped, at most.
const REAPED: Duration = Duration::from_secs(1);

/// A stage could not be started.
#[derive(Debug, Error)]
pub(super) enum StartError {
    /// There is no shell.
    #[error("the image has neither bash nor sh")]
    NoShell,
    /// The script cannot be written.
    #[error("cannot write the script of the job: {0}")]
    Script(io::Error),
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

impl StartError {
    /// Whether the pod has as many processes as it may.
    pub(super) fn is_for_want_of_processes(&self) -> bool {
        matches!(self, Self::Spawn(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// A process that runs, leader of its own session and group.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    script: Script,
    output: Output,
    exit: oneshot::Receiver<i32>,
    ending: Ending,
    active: Counted,
}

impl Process {
    /// Starts what was ordered. Must run where the reaper runs.
    pub(super) fn start(order: &StageOrder, stages: &Stages) -> Result<Self, StartError> {
        let surroundings = &*stages.surroundings;
        let variables = surroundings.variables(order);
        if surroundings.engine.is_some() {
            docker_login::prepare(&surroundings.layout, &variables);
        }
        let path = variables.get(std::ffi::OsStr::new("PATH"));
        let shell = Shell::find(path).ok_or(StartError::NoShell)?;
        let script = Script::write(&surroundings.layout, order).map_err(StartError::Script)?;
        let workdir = &surroundings.home.workdir;
        fs::create_dir_all(workdir).map_err(|error| StartError::Workdir(workdir.clone(), error))?;

        let (output, writer) = io::pipe().map_err(StartError::Pipe)?;
        let output =
            pipe::Receiver::from_owned_fd(OwnedFd::from(output)).map_err(StartError::Pipe)?;
        let mut command = shell
            .command(&surroundings.layout, script.path(), writer)
            .map_err(StartError::Pipe)?;
        command.current_dir(workdir).env_clear().envs(&variables);
        let ends = stages.reaper.ends();
        let child = command.spawn().map_err(StartError::Spawn)?;
        let pid = Pid::from_child(&child);
        Ok(Self {
            pid,
            script,
            output: Output {
                pipe: output,
                is_open: true,
            },
            exit: stages.reaper.register(pid),
            ending: Ending {
                processes: Processes::new(pid, &order.mark),
                containers: surroundings.containers(&order.mark),
                ends,
                leaving: stages.leaving.subscribe(),
                abandoned: stages.abandoned.clone(),
            },
            active: stages.active.add(),
        })
    }

    /// Drives the stage from here to its end, and on while something of it still writes.
    pub(super) async fn run(self, driver: Driver, witness: Witness) {
        let Self {
            pid,
            script,
            mut output,
            mut exit,
            ending,
            active,
        } = self;
        let leaving = ending.leaving.clone();
        let Driver { events, demand } = driver;
        // That nobody takes an event is no reason to stop: the processes must not find their output shut.
        let pid = pid.as_raw_nonzero().get().unsigned_abs();
        let _ = events.send(StageEvent::Started { pid }).await;
        // On its own, so that processes are ended even while nobody takes their output.
        let mut ending = tokio::spawn(ending.obey(demand.clone()));
        let mut code = None;
        loop {
            tokio::select! {
                biased;
                ended = &mut exit, if code.is_none() => {
                    code = Some(ended.unwrap_or(255));
                    if !ending::is_told(&demand) && leaving.borrow().is_none() {
                        ending.abort();
                        break;
                    }
                }
                _ = &mut ending => break,
                () = output.pass_on(&events), if output.is_open => {}
            }
        }
        output.drain(&events).await;
        let code = match code {
            Some(code) => code,
            // It has died, and is only to be reaped; or the kernel does not let it go.
            None => match timeout(REAPED, &mut exit).await {
                Ok(ended) => ended.unwrap_or(255),
                Err(_) => KILLED,
            },
        };
        let cause = match code {
            0 => None,
            _ => witness.cause().await.or_else(|| leaving.borrow().clone()),
        };
        drop((script, witness));
        let _ = events
            .send(StageEvent::Ended(StageEnd { code, cause }))
            .await;
        drop(active);
        while output.is_open {
            output.pass_on(&events).await;
        }
    }
}

/// What the processes write.
#[derive(Debug)]
struct Output {
    pipe: pipe::Receiver,
    /// Whether a process holds the other end.
    is_open: bool,
}

impl Output {
    /// Waits for some output and passes it on.
    async fn pass_on(&mut self, events: &mpsc::Sender<StageEvent>) {
        // The room for an event comes first: what was read would be lost where this is dropped before it was sent. Where
        // nobody takes events any more, output is read all the same, and dropped.
        let room = events.reserve().await;
        if self.pipe.readable().await.is_err() {
            self.is_open = false;
            return;
        }
        let mut buffer = vec![0; CHUNK];
        match self.pipe.try_read(&mut buffer) {
            Ok(0) => self.is_open = false,
            Ok(count) => {
                buffer.truncate(count);
                buffer.shrink_to_fit();
                if let Ok(room) = room {
                    room.send(StageEvent::Output(buffer));
                }
            }
            Err(error) => self.is_open = error.kind() == io::ErrorKind::WouldBlock,
        }
    }

    /// Passes on what is in the pipe now.
    async fn drain(&mut self, events: &mpsc::Sender<StageEvent>) {
        // One pipe's content is what an ended process can have left; more comes from others.
        let mut left = rustix::pipe::fcntl_getpipe_size(&self.pipe).unwrap_or(CHUNK);
        let mut buffer = vec![0; CHUNK];
        while self.is_open && left > 0 {
            match self.pipe.try_read(&mut buffer) {
                Ok(0) => self.is_open = false,
                Ok(count) => {
                    left = left.saturating_sub(count);
                    let bytes = buffer[..count].to_vec();
                    // Dropped where nobody takes it.
                    let _ = events.send(StageEvent::Output(bytes)).await;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.is_open = false,
            }
        }
    }
}
