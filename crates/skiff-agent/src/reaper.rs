//! The one place that waits for processes: as PID 1 the agent gets every orphan of the container.
//!
//! Must be the only caller of `wait`: a second one would take statuses away from it.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, WaitOptions, WaitStatus};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};

/// Who waits for a process, and for what of its end.
#[derive(Debug)]
enum Waiter {
    Code(oneshot::Sender<i32>),
    Status(oneshot::Sender<WaitStatus>),
}

/// Delivers the exit codes of processes that were registered with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reaper {
    waiting: Arc<Mutex<HashMap<Pid, Waiter>>>,
    ends: Arc<watch::Sender<()>>,
}

impl Reaper {
    /// Starts reaping. Orphans of its descendants come to this process even where it is not PID 1.
    pub(crate) fn start() -> io::Result<Self> {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let signals = signal(SignalKind::child())?;
        let reaper = Self::default();
        tokio::spawn(reaper.clone().run(signals));
        Ok(reaper)
    }

    /// The exit code of this child, when it comes: 128 + n where signal n ended it. To be called in
    /// the same poll that started the child, so that it cannot be reaped before.
    pub(crate) fn register(&self, child: Pid) -> oneshot::Receiver<i32> {
        let (sender, receiver) = oneshot::channel();
        self.insert(child, Waiter::Code(sender));
        receiver
    }

    /// The same, with the difference between an exit code and a signal.
    pub(crate) fn register_status(&self, child: Pid) -> oneshot::Receiver<WaitStatus> {
        let (sender, receiver) = oneshot::channel();
        self.insert(child, Waiter::Status(sender));
        receiver
    }

    fn insert(&self, child: Pid, waiter: Waiter) {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(child, waiter);
    }

    /// Changes whenever processes were reaped, registered or not.
    pub(crate) fn ends(&self) -> watch::Receiver<()> {
        self.ends.subscribe()
    }

    async fn run(self, mut signals: Signal) {
        loop {
            self.reap();
            if signals.recv().await.is_none() {
                return;
            }
        }
    }

    fn reap(&self) {
        let mut has_reaped = false;
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            has_reaped = true;
            let waiter = self
                .waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&pid);
            // Whoever registered may have lost interest.
            match waiter {
                Some(Waiter::Code(sender)) => drop(sender.send(exit_code(status))),
                Some(Waiter::Status(sender)) => drop(sender.send(status)),
                None => {}
            }
        }
        if has_reaped {
            self.ends.send_replace(());
        }
    }
}

/// The shell's number for an end.
fn exit_code(status: WaitStatus) -> i32 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 255,
    }
}
