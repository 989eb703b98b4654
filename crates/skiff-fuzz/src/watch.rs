//! What happens around the inputs: time, memory, and a copy of the input that may be the last.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// An input that takes longer than this hangs.
const LONGEST: Duration = Duration::from_secs(5);

/// Watches the input that is being tried.
pub(crate) struct Watch {
    started: Arc<Mutex<Option<Instant>>>,
    current: PathBuf,
}

impl Watch {
    /// Keeps the current input in a file, and ends the program where one hangs.
    pub(crate) fn new(current: PathBuf) -> Self {
        let started: Arc<Mutex<Option<Instant>>> = Arc::default();
        let watched = Arc::clone(&started);
        let file = current.clone();
        thread::spawn(move || {
            loop {
                thread::sleep(LONGEST / 10);
                let started = *watched.lock().unwrap_or_else(PoisonError::into_inner);
                if started.is_some_and(|started| started.elapsed() > LONGEST) {
                    hangs(&file);
                }
            }
        });
        Self { started, current }
    }

    /// Runs something with the input and returns how long it took.
    pub(crate) fn around<T>(&self, input: &[u8], run: impl FnOnce() -> T) -> Result<(T, Duration)> {
        fs::write(&self.current, input)
            .with_context(|| format!("cannot write {}", self.current.display()))?;
        let started = Instant::now();
        self.set(Some(started));
        let result = run();
        self.set(None);
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

    fn set(&self, started: Option<Instant>) {
        *self.started.lock().unwrap_or_else(PoisonError::into_inner) = started;
    }
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
