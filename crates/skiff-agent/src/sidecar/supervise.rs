//! Stays with the daemon: keeps its log, notices its death, ends it when the agent has left.

use std::io;
use std::process::Child;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use skiff_proto::paths;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::containerd::Containerd;
use super::daemon::Daemon;
use super::daemon_log::Log;
use super::storage::Storage;
use super::upkeep::Upkeep;
use super::{SidecarError, lent_home};
use crate::docker_report::DockerReport;
use crate::layout::Layout;
use crate::reaper::Reaper;
use crate::watch_dir::DirWatch;

/// How long the daemon has to end by itself.
const GRACE: Duration = Duration::from_secs(10);

/// How long the log of processes that have ended is waited for.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How it came to an end.
#[derive(Debug)]
pub(super) enum Ending {
    /// The agent has left, and the daemon was ended.
    Left,
    /// The container was told to stop, and the daemon was ended.
    Stopped,
    /// The daemon ended by itself with this code.
    Died(i32),
}

/// Everything that the daemon needs.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The daemon, not yet started.
    pub(super) daemon: Daemon,
    /// The process that copies the tools, if there is one; nobody has waited for it.
    pub(super) tools: Option<Child>,
    /// Its containerd, started.
    pub(super) containerd: Option<Containerd>,
    /// The log of both.
    pub(super) log: Log,
    /// Where the data lies, and the right to it.
    pub(super) storage: Storage,
}

/// Starts the daemon and stays until it has ended.
pub(super) fn supervise(
    prepared: Prepared,
    state: &mut DockerReport,
    layout: &Layout,
    until_marker: bool,
) -> Result<Ending, SidecarError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(SidecarError::Supervise)?;
    runtime.block_on(async {
        // Watched before the daemon is started, so that nothing that happens meanwhile is missed.
        let wish = Wish::new(layout, until_marker).map_err(SidecarError::Supervise)?;
        let reaper = Reaper::start().map_err(SidecarError::Supervise)?;
        let Prepared {
            daemon,
            tools,
            containerd,
            log,
            storage,
        } = prepared;
        // Registered before the reaper has had its first turn.
        let containerd_pid = containerd
            .as_ref()
            .map(|containerd| Pid::from_child(&containerd.child));
        let mut containerd_exit = containerd_pid.map(|pid| reaper.register(pid));
        let tools_exit = tools.map(|child| reaper.register(Pid::from_child(&child)));
        let writer = log.writer()?;
        let pump = log.pump().map_err(SidecarError::Supervise)?;
        if let (Some(containerd), Some(exit)) = (&containerd, &mut containerd_exit) {
            tokio::select! {
                code = exit => {
                    drop(writer);
                    let _ = tokio::time::timeout(LAST_WORDS, pump).await;
                    return Ok(Ending::Died(code.unwrap_or(255)));
                }
                there = Containerd::is_there() => there
                    .map_err(|error| SidecarError::Daemon(containerd.program().to_owned(), error))?,
            }
        }
        let daemon_error = |error| SidecarError::Daemon(daemon.program().to_owned(), error);
        let child = daemon
            .command(writer)
            .and_then(|mut command| command.spawn());
        let pid = Pid::from_child(&child.map_err(daemon_error)?);
        let mut exit = reaper.register(pid);
        let upkeep = Upkeep::new(layout, &storage);
        let ending = tokio::select! {
            code = &mut exit => Ok(Ending::Died(code.unwrap_or(255))),
            code = of(&mut containerd_exit) => Ok(Ending::Died(code)),
            ending = wish.wait() => ending.map_err(SidecarError::Supervise),
            error = upkeep.run(tools_exit, state) => Err(error),
        };
        end(pid, exit).await;
        if let (Some(pid), Some(exit)) = (containerd_pid, containerd_exit) {
            end(pid, exit).await;
        }
        // Their last words tell why; a container's process may hold the pipe's other end for longer.
        let _ = tokio::time::timeout(LAST_WORDS, pump).await;
        ending
    })
}

/// The code of the process, if there is one; else never.
async fn of(exit: &mut Option<oneshot::Receiver<i32>>) -> i32 {
    match exit {
        Some(exit) => exit.await.unwrap_or(255),
        None => std::future::pending().await,
    }
}

/// Tells a process to end, and kills it where it does not. One that has ended already is no fault.
async fn end(pid: Pid, mut exit: oneshot::Receiver<i32>) {
    for signal in [Signal::TERM, Signal::KILL] {
        if !matches!(exit.try_recv(), Err(oneshot::error::TryRecvError::Empty)) {
            return;
        }
        let _ = kill_process(pid, signal);
        if tokio::time::timeout(GRACE, &mut exit).await.is_ok() {
            return;
        }
    }
}

/// What ends the daemon on purpose.
struct Wish {
    layout: Layout,
    changes: DirWatch,
    stop: tokio::signal::unix::Signal,
    until_marker: bool,
}

impl Wish {
    fn new(layout: &Layout, until_marker: bool) -> io::Result<Self> {
        let changes = DirWatch::new(&layout.run_dir())?;
        let stop = signal(SignalKind::terminate())?;
        Ok(Self {
            layout: layout.clone(),
            changes,
            stop,
            until_marker,
        })
    }

    async fn wait(mut self) -> io::Result<Ending> {
        loop {
            lent_home::lend(&self.layout);
            if self.layout.at(paths::LEAVE_MARKER).exists() {
                return Ok(Ending::Left);
            }
            tokio::select! {
                changed = self.changes.changed() => changed?,
                _ = self.stop.recv() => if !self.until_marker {
                    return Ok(Ending::Stopped);
                },
            }
        }
    }
}
