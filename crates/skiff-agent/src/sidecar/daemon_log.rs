//! The daemon's log, bounded: when the file is full, it becomes the older one and a new one begins.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

/// How large each of the two files may become.
const ROOM: u64 = 4 << 20;

/// The writing end.
#[derive(Debug)]
pub(super) struct DaemonLog {
    path: PathBuf,
    file: File,
    length: u64,
    room: u64,
}

impl DaemonLog {
    /// Begins a new log; what an earlier daemon wrote becomes the older one.
    pub(super) fn begin(path: PathBuf) -> io::Result<Self> {
        Self::with_room(path, ROOM)
    }

    fn with_room(path: PathBuf, room: u64) -> io::Result<Self> {
        let file = Self::turn(&path)?;
        Ok(Self {
            path,
            file,
            length: 0,
            room,
        })
    }

    fn turn(path: &PathBuf) -> io::Result<File> {
        match fs::rename(path, path.with_extension("log.1")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        File::create(path)
    }

    /// Appends; what the disk does not take is lost, as the daemon must go on.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        if self.length + bytes.len() as u64 > self.room
            && let Ok(file) = Self::turn(&self.path)
        {
            (self.file, self.length) = (file, 0);
        }
        if self.file.write_all(bytes).is_ok() {
            self.length += bytes.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DaemonLog;

    #[test]
    fn the_log_turns_when_it_is_full() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("daemon.log");
        let mut log = DaemonLog::with_room(path.clone(), 10).expect("a log");
        for piece in ["aaaa", "bbbb", "cccc", "dddd", "eeee"] {
            log.append(piece.as_bytes());
        }
        let read = |path| std::fs::read_to_string(path).expect("readable");
        assert_eq!(read(path.clone()), "eeee");
        assert_eq!(read(path.with_extension("log.1")), "ccccdddd");
    }
}
