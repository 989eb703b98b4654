//! What happens around the inputs: time, memory, and a copy of the input that may be the last.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// An input that takes longer than this hangs.
const LONGEST: Duration = Duration::from_secs(5);

/// What the watching thread is told. It answers nothing; one message may be on its way.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Begun,
    Ended,
}

/// Watches the input that is being tried.
pub(crate) struct Watch {
    watcher: SyncSender<Said>,
    current: PathBuf,
}

impl Watch {
    /// Keeps the current input in a file, and ends the program where one hangs.
    pub(crate) fn new(current: PathBuf) -> Self {
        let (watcher, said) = sync_channel(1);
        let file = current.clone();
        thread::spawn(move || {
            if !all_end(&said, LONGEST) {
                hangs(&file);
            }
        });
        Self { watcher, current }
    }

    /// Runs something with the input and returns how long it took.
    pub(crate) fn around<T>(&self, input: &[u8], run: impl FnOnce() -> T) -> Result<(T, Duration)> {
        fs::write(&self.current, input)
            .with_context(|| format!("cannot write {}", self.current.display()))?;
        let started = Instant::now();
        self.say(Said::Begun);
        let result = run();
        self.say(Said::Ended);
        Ok((result, started.elapsed()))
    }

    /// Removes the copy: nothing went wrong.
    pub(crate) fn end(self) -> Result<()> {
        match fs::remove_file(&self.current) {
            // Nothing was tried.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result.with_context(|| format!("cannot remove {}", self.current.display())),
        }
    }

    fn say(&self, what: Said) {
        // The watching thread listens for as long as this value lives.
        let _ = self.watcher.send(what);
    }
}

/// Waits for the end of every input that has begun. False as soon as one takes longer than it may, true
/// when there are no more.
fn all_end(said: &Receiver<Said>, longest: Duration) -> bool {
    while let Ok(what) = said.recv() {
        if let Said::Begun = what
            && said.recv_timeout(longest) == Err(RecvTimeoutError::Timeout)
        {
            return false;
        }
    }
    true
}

#[expect(clippy::exit, reason = "the thread that hangs cannot be stopped")]
#[expect(clippy::print_stderr, reason = "a program of the terminal")]
fn hangs(file: &Path) -> ! {
    eprintln!("an input takes longer than {LONGEST:?}: {}", file.display());
    std::process::exit(1)
}

/// The most memory that this process has had, in bytes.
pub(crate) fn peak_memory() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.context("the kernel does not tell VmHWM")?;
    let number: u64 = kibibytes.trim_end_matches("kB").trim().parse()?;
    Ok(number * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_that_end_in_time_are_no_fault() {
        let (watcher, said) = sync_channel(4);
        for what in [Said::Begun, Said::Ended, Said::Begun, Said::Ended] {
            watcher.send(what).expect("the receiver is there");
        }
        drop(watcher);
        assert!(all_end(&said, LONGEST));
    }

    #[test]
    fn an_input_that_does_not_end_is_noticed() {
        let (watcher, said) = sync_channel(1);
        watcher.send(Said::Begun).expect("the receiver is there");
        assert!(!all_end(&said, Duration::from_millis(1)));
    }
}
