//! One daemon at a time on a data folder: two would write into each other's files and ruin them.
//!
//! The lock is the kernel's and ends with the process that holds it, however it ends. What is written in
//! the file is for people alone.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use thiserror::Error;

/// The file in the data folder.
const NAME: &str = ".skiff-holder";
/// How long a holder is waited for, which may be the same pod's daemon on its way out.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often it is tried meanwhile: the kernel can wake a waiter, but not one that gives up after a time.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest name that is read.
const LONGEST: u64 = 512;

/// The data folder is not this daemon's.
#[derive(Debug, Error)]
pub(crate) enum LockError {
    /// Another daemon has it.
    #[error(
        "the data in {dir} is in use by {holder}; two daemons at once would ruin it: end that one, or take \
         another volume"
    )]
    Held {
        /// The folder.
        dir: PathBuf,
        /// Who has it, as they wrote.
        holder: String,
    },
    /// The file system has no locks, or is not to be written.
    #[error("cannot lock {0}, which keeps a second daemon from the data beside it")]
    Unavailable(PathBuf, #[source] io::Error),
}

/// The right to use a data folder, for as long as this lives.
#[derive(Debug)]
pub(crate) struct DataLock {
    _file: File,
}

impl DataLock {
    /// Takes the folder under this name. Waits a while for another holder, unless it is not worth while any more.
    pub(crate) fn take(
        dir: &Path,
        holder: &str,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Self, LockError> {
        Self::take_within(PATIENCE, dir, holder, is_over)
    }

    fn take_within(
        patience: Duration,
        dir: &Path,
        holder: &str,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Self, LockError> {
        let path = dir.join(NAME);
        let unavailable = |error| LockError::Unavailable(path.clone(), error);
        fs::create_dir_all(dir).map_err(unavailable)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(unavailable)?;
        let deadline = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if is_over() || Instant::now() > deadline => {
                    return Err(LockError::Held {
                        dir: dir.to_owned(),
                        holder: read(&mut file),
                    });
                }
                Err(TryLockError::WouldBlock) => sleep(PAUSE),
                Err(TryLockError::Error(error)) => return Err(unavailable(error)),
            }
        }
        // A full disk must not keep the daemon from starting, which alone can make room.
        let _ = write(&mut file, holder);
        Ok(Self { _file: file })
    }
}

fn write(file: &mut File, holder: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(holder.as_bytes())
}

fn read(file: &mut File) -> String {
    let mut text = Vec::new();
    let read = file
        .rewind()
        .and_then(|()| file.take(LONGEST).read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    match read {
        Ok(_) if !text.is_empty() => text,
        _ => "somebody who has not written who they are".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DataLock, LockError};

    fn take(dir: &std::path::Path, holder: &str, patience: u64) -> Result<DataLock, LockError> {
        DataLock::take_within(Duration::from_millis(patience), dir, holder, &|| false)
    }

    #[test]
    fn the_second_is_told_who_the_first_is_until_that_one_has_gone() {
        let dir = tempfile::tempdir().expect("a folder");
        let first = take(dir.path(), "cluster a, rank 0 (a long name)", 0).expect("free");
        let error = take(dir.path(), "cluster b", 0)
            .expect_err("held")
            .to_string();
        assert!(
            error.contains("in use by cluster a, rank 0 (a long name);"),
            "{error}"
        );
        drop(first);
        let second = take(dir.path(), "cluster b", 0).expect("free");
        let error = take(dir.path(), "c", 0).expect_err("held").to_string();
        assert!(error.contains("in use by cluster b;"), "{error}");
        drop(second);
    }

    #[test]
    fn a_holder_that_ends_is_waited_for() {
        let dir = tempfile::tempdir().expect("a folder");
        let first = take(dir.path(), "a", 0).expect("free");
        let path = dir.path().to_owned();
        let second = std::thread::spawn(move || take(&path, "b", 60_000).map(drop));
        drop(first);
        second.join().expect("it ends").expect("free in the end");
    }

    #[test]
    fn nobody_waits_for_what_nobody_needs_any_more() {
        let dir = tempfile::tempdir().expect("a folder");
        let _first = take(dir.path(), "a", 0).expect("free");
        let patience = Duration::from_hours(1);
        let error = DataLock::take_within(patience, dir.path(), "b", &|| true);
        assert!(matches!(error, Err(LockError::Held { .. })));
    }
}
