//! Stays with the daemon: keeps its log, notices its death, ends it when the agent has left.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use skiff_proto::paths;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::daemon::Daemon;
use super::daemon_log::DaemonLog;
use super::{SidecarError, lent_home, write};
use crate::docker_report::{DockerReport, Phase};
use crate::layout::Layout;
use crate::reaper::Reaper;
use crate::watch_dir::DirWatch;

/// How long the daemon has to end by itself.
const GRACE: Duration = Duration::from_secs(10);

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

/// Starts the daemon and stays until it has ended.
pub(super) fn supervise(
    daemon: &Daemon,
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
        let (pid, mut exit) = start(daemon, layout, &reaper)?;
        state.phase = Phase::Started;
        write(state, layout);
        let ending = tokio::select! {
            code = &mut exit => return Ok(Ending::Died(code.unwrap_or(255))),
            ending = wish.wait() => ending.map_err(SidecarError::Supervise)?,
        };
        end(pid, exit).await;
        Ok(ending)
    })
}

fn start(
    daemon: &Daemon,
    layout: &Layout,
    reaper: &Reaper,
) -> Result<(Pid, oneshot::Receiver<i32>), SidecarError> {
    let daemon_error = |error| SidecarError::Daemon(daemon.program().to_owned(), error);
    let path = layout.at(paths::DOCKER_LOG);
    let mut log =
        DaemonLog::begin(path.clone()).map_err(|error| SidecarError::Folder(path, error))?;
    let (output, writer) = io::pipe().map_err(daemon_error)?;
    let mut output = pipe::Receiver::from_owned_fd(OwnedFd::from(output)).map_err(daemon_error)?;
    let child = daemon
        .command(writer)
        .map_err(daemon_error)?
        .spawn()
        .map_err(daemon_error)?;
    let pid = Pid::from_child(&child);
    let exit = reaper.register(pid);
    tokio::spawn(async move {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(count @ 1..) = output.read(&mut buffer).await {
            log.append(&buffer[..count]);
        }
    });
    Ok((pid, exit))
}

/// Tells the daemon to end, and kills it where it does not.
async fn end(pid: Pid, mut exit: oneshot::Receiver<i32>) {
    for signal in [Signal::TERM, Signal::KILL] {
        // It may have ended meanwhile.
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
