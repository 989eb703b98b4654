//! How the wrappers of a daemon and of a builder end: what ends them on purpose, and how they end their processes.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use skiff_proto::paths;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::layout::Layout;
use crate::watch_dir::DirWatch;

/// How long a process has to end by itself.
const GRACE: Duration = Duration::from_secs(10);
/// How long the log of processes that have ended is waited for.
pub(crate) const LAST_WORDS: Duration = Duration::from_millis(500);

/// How it came to an end.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The agent has left, and what was wrapped was ended.
    Left,
    /// The container was told to stop, and what was wrapped was ended.
    Stopped,
    /// What was wrapped ended by itself with this code.
    Died(i32),
}

impl Ending {
    /// The wrapper's own exit code: with any but 0 the kubelet starts it again.
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Left => ExitCode::SUCCESS,
            Self::Stopped => ExitCode::from(143),
            Self::Died(_) => ExitCode::FAILURE,
        }
    }
}

/// What ends a wrapper on purpose.
pub(crate) struct Wish {
    layout: Layout,
    changes: DirWatch,
    stop: tokio::signal::unix::Signal,
    until_marker: bool,
}

impl Wish {
    /// Looks out from now on. With `until_marker` only the agent's marker counts.
    pub(crate) fn new(layout: &Layout, until_marker: bool) -> io::Result<Self> {
        Ok(Self {
            layout: layout.clone(),
            changes: DirWatch::new(&layout.run_dir())?,
            stop: signal(SignalKind::terminate())?,
            until_marker,
        })
    }

    /// Waits for it; whenever the folder that the containers share has changed, does this first.
    pub(crate) async fn wait(mut self, on_change: impl Fn(&Layout)) -> io::Result<Ending> {
        loop {
            on_change(&self.layout);
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

/// Tells a process to end, and kills it where it does not. One that has ended already is no fault.
pub(crate) async fn end(pid: Pid, mut exit: oneshot::Receiver<i32>) {
    for signal in [Signal::TERM, Signal::KILL] {
        if !matches!(exit.try_recv(), Err(oneshot::error::TryRecvError::Empty)) {
            return;
        }
        let _ = kill_process(pid, signal);
        if timeout(GRACE, &mut exit).await.is_ok() {
            return;
        }
    }
}
