//! Signals: an interrupted task still takes its cluster down.
//!
//! SIGINT of a terminal reaches the running children by itself; SIGTERM and SIGHUP reach this
//! process alone and are passed on. After that every wait ends early and the clean-up runs.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

static CAUGHT: AtomicBool = AtomicBool::new(false);
static CHILDREN: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// Starts to listen for the signals that end a task.
pub(crate) fn watch() -> Result<()> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot listen for signals")?;
    thread::spawn(move || {
        for signal in signals.forever() {
            CAUGHT.store(true, Ordering::SeqCst);
            if signal != SIGINT {
                for child in children().iter() {
                    terminate(*child);
                }
            }
        }
    });
    Ok(())
}

/// Fails when a signal has asked the task to end.
pub(crate) fn check() -> Result<()> {
    if CAUGHT.load(Ordering::SeqCst) {
        bail!("interrupted");
    }
    Ok(())
}

/// Marks a child as one that gets this task's signals until the value is dropped.
pub(crate) struct Listed(u32);

impl Listed {
    pub(crate) fn new(child: &Child) -> Self {
        children().push(child.id());
        Self(child.id())
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        children().retain(|child| *child != self.0);
    }
}

fn children() -> std::sync::MutexGuard<'static, Vec<u32>> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends SIGTERM; the shell's own `kill`, because a minimal Debian has no other.
fn terminate(child: u32) {
    let _gone_already = Command::new("sh")
        .args(["-c", "kill -TERM \"$0\"", &child.to_string()])
        .stderr(Stdio::null())
        .status();
}
