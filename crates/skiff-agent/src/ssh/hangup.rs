//! What becomes of a session without a terminal whose client has gone: there is no terminal whose end the kernel tells.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use rustix::process::{Pid, Signal, getsid, kill_process};

/// The pipes between a session's processes and its client, by the numbers that the kernel has for them.
#[derive(Clone, Debug)]
pub(crate) struct Pipes([u64; 3]);

impl Pipes {
    /// The pipes of which these are ends.
    pub(crate) fn of(ends: [&dyn AsFd; 3]) -> io::Result<Self> {
        let mut numbers = [0; 3];
        for (number, end) in numbers.iter_mut().zip(ends) {
            *number = rustix::fs::fstat(end.as_fd())?.st_ino;
        }
        Ok(Self(numbers))
    }

    /// Tells the processes of a session that read from its client or write to it. One whose streams all lead elsewhere
    /// was left behind on purpose, as editors leave their servers, and is to be found by the next connection.
    pub(crate) fn hang_up(&self, leader: Pid) {
        let Ok(entries) = fs::read_dir("/proc") else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.parse().ok());
            let Some(pid) = number.and_then(Pid::from_raw) else {
                continue;
            };
            // In this order: what has nothing to do with the session may have a session that is none here.
            if self.are_held_by(pid) && getsid(Some(pid)) == Ok(leader) {
                // It may have ended by itself. What is stopped would hear of it only when it goes on.
                let _ = kill_process(pid, Signal::HUP);
                let _ = kill_process(pid, Signal::CONT);
            }
        }
    }

    fn are_held_by(&self, pid: Pid) -> bool {
        let raw = pid.as_raw_nonzero();
        (0..=2).any(|stream| {
            let held = fs::metadata(format!("/proc/{raw}/fd/{stream}"));
            held.is_ok_and(|held| self.0.contains(&held.ino()))
        })
    }
}
