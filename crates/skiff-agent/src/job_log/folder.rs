//! The logs of one job by their names in its folder, each opened when it is first needed and shared from then on.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::log_file::{Limits, LogFile};

/// The log that users follow.
pub(crate) const RUN_LOG: &str = "run.log";

/// The log that users follow: 256 MiB of it, and up to 1 GiB while a reader is behind.
const FOLLOWED: Limits = Limits {
    file: 16 << 20,
    kept: 256 << 20,
    held: 1 << 30,
};
/// What one process wrote: it is in the other log as well.
const OF_ONE_PROCESS: Limits = Limits {
    file: 16 << 20,
    kept: 64 << 20,
    held: 1 << 30,
};

/// The folder of one job's logs.
#[derive(Debug)]
pub(crate) struct LogFolder {
    dir: PathBuf,
    open: Mutex<HashMap<String, Weak<LogFile>>>,
}

impl LogFolder {
    /// The folder at this path; nothing of it is looked at yet.
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            open: Mutex::default(),
        }
    }

    /// Where it is.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// One of its logs.
    pub(crate) fn log(&self, name: &str) -> io::Result<Arc<LogFile>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = open.get(name).and_then(Weak::upgrade) {
            return Ok(log);
        }
        let limits = if name == RUN_LOG {
            FOLLOWED
        } else {
            OF_ONE_PROCESS
        };
        let log = Arc::new(LogFile::open(self.dir.join(name), limits)?);
        open.retain(|_, log| log.strong_count() > 0);
        open.insert(name.to_owned(), Arc::downgrade(&log));
        Ok(log)
    }

    /// The names of all logs that are there, in order.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for below in ["", "tasks/"] {
            let entries = match fs::read_dir(self.dir.join(below)) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for entry in entries {
                let entry = entry?;
                let name = entry.file_name();
                if let Some(name) = name.to_str()
                    && Path::new(name)
                        .extension()
                        .is_some_and(|kind| kind == "log")
                    && !name.starts_with('.')
                    && entry.file_type()?.is_file()
                {
                    names.push(format!("{below}{name}"));
                }
            }
        }
        names.sort();
        Ok(names)
    }
}
