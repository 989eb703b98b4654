//! The daemon's log, bounded: when the file is full, it becomes the older one and a new one begins.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use skiff_proto::paths;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::task::JoinHandle;

use super::SidecarError;
use crate::layout::Layout;

/// How large each of the two files may become.
const ROOM: u64 = 4 << 20;

/// The log, and the pipe through which the daemons write to it.
#[derive(Debug)]
pub(crate) struct Log {
    file: LogFile,
    output: io::PipeReader,
    writer: io::PipeWriter,
}

impl Log {
    /// Begins a new log; what an earlier daemon wrote becomes the older one.
    pub(crate) fn begin(layout: &Layout) -> Result<Self, SidecarError> {
        let path = layout.at(paths::DOCKER_LOG);
        let folder_error = |error| SidecarError::Folder(path.clone(), error);
        let file = LogFile::with_room(path.clone(), ROOM).map_err(folder_error)?;
        let (output, writer) = io::pipe().map_err(SidecarError::Supervise)?;
        Ok(Self {
            file,
            output,
            writer,
        })
    }

    /// A writing end for one more process.
    pub(crate) fn writer(&self) -> Result<io::PipeWriter, SidecarError> {
        self.writer.try_clone().map_err(SidecarError::Supervise)
    }

    /// Takes what the processes write, until the last of them has ended. To be called in the runtime.
    pub(crate) fn pump(self) -> io::Result<JoinHandle<()>> {
        let mut output = pipe::Receiver::from_owned_fd(OwnedFd::from(self.output))?;
        let mut file = self.file;
        Ok(tokio::spawn(async move {
            let mut buffer = vec![0; 16 << 10];
            while let Ok(count @ 1..) = output.read(&mut buffer).await {
                file.append(&buffer[..count]);
            }
        }))
    }
}

/// The file.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: File,
    length: u64,
    room: u64,
}

impl LogFile {
    fn with_room(path: PathBuf, room: u64) -> io::Result<Self> {
        let file = Self::turn(&path)?;
        Ok(Self {
            path,
            file,
            length: 0,
            room,
        })
    }

    fn turn(path: &Path) -> io::Result<File> {
        match fs::rename(path, path.with_extension("log.1")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        File::create(path)
    }

    /// Appends; what the disk does not take is lost, as the daemon must go on.
    fn append(&mut self, bytes: &[u8]) {
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
    use super::LogFile;

    #[test]
    fn the_log_turns_when_it_is_full() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("daemon.log");
        let mut log = LogFile::with_room(path.clone(), 10).expect("a log");
        for piece in ["aaaa", "bbbb", "cccc", "dddd", "eeee"] {
            log.append(piece.as_bytes());
        }
        let read = |path| std::fs::read_to_string(path).expect("readable");
        assert_eq!(read(path.clone()), "eeee");
        assert_eq!(read(path.with_extension("log.1")), "ccccdddd");
    }
}
