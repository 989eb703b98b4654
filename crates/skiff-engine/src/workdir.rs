//! The user's working folder, on its way to the pod.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ignore::WalkBuilder;
use skiff_proto::{Frame, Request, Response};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::connect::{AgentError, Connection};
use skiff_wire::{Call, SessionError};

/// Chunks read ahead of the network: a quarter of a megabyte.
const AHEAD: usize = 4;

/// Why a folder could not be uploaded.
#[derive(Debug, Error)]
pub enum WorkdirError {
    /// The folder is not there, or is no folder.
    #[error("the workdir {path} is not a folder that can be read")]
    NotAFolder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Something in it cannot be read.
    #[error("cannot read the workdir {path}")]
    Read {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The agent did not take it.
    #[error(transparent)]
    Agent(#[from] AgentError),
}

/// What was uploaded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Uploaded {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) elapsed: Duration,
}

/// Makes sure that there is a folder, before anything is created for it.
pub(crate) fn check(path: &Path) -> Result<(), WorkdirError> {
    std::fs::read_dir(path)
        .map(drop)
        .map_err(|source| WorkdirError::NotAFolder {
            path: path.to_owned(),
            source,
        })
}

/// Sends a folder and returns once it is on the pod's disk.
pub(crate) async fn upload(connection: &Connection, path: &Path) -> Result<Uploaded, WorkdirError> {
    let started = Instant::now();
    let failed = |source| WorkdirError::Agent(Connection::failed(connection.pod(), source));
    let mut call = connection.start(Request::Workdir).await?;
    let (sender, mut chunks) = mpsc::channel(AHEAD);
    let folder = path.to_owned();
    let packing = tokio::task::spawn_blocking(move || archive(&folder, sender));

    let sent = send(&mut call, &mut chunks).await;
    // Where the agent stopped listening, the next packed chunk finds nobody.
    drop(chunks);
    let archived = packing
        .await
        .expect("packing does not panic and is not aborted");
    sent.map_err(failed)?;
    let (files, bytes) = archived.map_err(|source| WorkdirError::Read {
        path: path.to_owned(),
        source,
    })?;
    call.finish().await.map_err(failed)?;
    match call.response().await.map_err(failed)? {
        Response::Done => Ok(Uploaded {
            files,
            bytes,
            elapsed: started.elapsed(),
        }),
        _ => Err(failed(SessionError::Unexpected)),
    }
}

/// Sends chunks as far as the agent gives credit.
async fn send(call: &mut Call, chunks: &mut mpsc::Receiver<Vec<u8>>) -> Result<(), SessionError> {
    let mut credit = Frame::WINDOW as usize;
    while let Some(chunk) = chunks.recv().await {
        while credit < chunk.len() {
            match call.next().await? {
                Frame::Credit(_, bytes) => credit += bytes as usize,
                _ => return Err(SessionError::Unexpected),
            }
        }
        credit -= chunk.len();
        call.send(chunk).await?;
    }
    Ok(())
}

/// Packs a folder. `.skyignore` at its root decides what stays behind, else `.gitignore` files do.
fn archive(folder: &Path, sender: mpsc::Sender<Vec<u8>>) -> io::Result<(u64, u64)> {
    let mut builder = tar::Builder::new(ChunkWriter {
        chunk: Vec::new(),
        sender,
    });
    builder.follow_symlinks(false);
    let (mut files, mut bytes) = (0, 0);
    for entry in walk(folder) {
        let entry = entry.map_err(io::Error::other)?;
        let Ok(name) = entry.path().strip_prefix(folder) else {
            continue;
        };
        let Some(kind) = entry.file_type() else {
            continue;
        };
        if name.as_os_str().is_empty() || !(kind.is_dir() || kind.is_file() || kind.is_symlink()) {
            continue;
        }
        if kind.is_file() {
            files += 1;
            bytes += entry.metadata().map_err(io::Error::other)?.len();
        }
        builder
            .append_path_with_name(entry.path(), name)
            .map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", name.display()))
            })?;
    }
    builder.into_inner()?.flush()?;
    Ok((files, bytes))
}

fn walk(folder: &Path) -> ignore::Walk {
    let mut walk = WalkBuilder::new(folder);
    let skyignore = folder.join(".skyignore");
    let by_git = !skyignore.is_file();
    walk.hidden(false)
        .ignore(false)
        .parents(false)
        .git_global(false)
        .git_exclude(by_git)
        .git_ignore(by_git)
        .require_git(false)
        .sort_by_file_name(Ord::cmp);
    if !by_git {
        walk.add_custom_ignore_filename(".skyignore");
    }
    walk.build()
}

/// Cuts what is written into chunks of one frame each.
struct ChunkWriter {
    chunk: Vec<u8>,
    sender: mpsc::Sender<Vec<u8>>,
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(Frame::CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        if self.chunk.len() == Frame::CHUNK {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::take(&mut self.chunk);
        self.sender
            .blocking_send(chunk)
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn packed(folder: &Path) -> Vec<String> {
        let (sender, mut chunks) = mpsc::channel(1024);
        archive(folder, sender).unwrap();
        let mut bytes = Vec::new();
        while let Ok(chunk) = chunks.try_recv() {
            bytes.extend(chunk);
        }
        let mut archive = tar::Archive::new(bytes.as_slice());
        archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect()
    }

    fn folder_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn a_gitignore_decides_what_stays_behind() {
        let folder = folder_with(&[
            (".gitignore", "target/\n*.log\n"),
            ("target/big", "x"),
            ("run.log", "x"),
            ("main.py", "x"),
            (".env", "x"),
        ]);
        assert_eq!(packed(folder.path()), [".env", ".gitignore", "main.py"]);
    }

    #[test]
    fn a_skyignore_takes_the_place_of_gitignore() {
        let folder = folder_with(&[
            (".gitignore", "*.log\n"),
            (".skyignore", "*.bin\n"),
            ("a.log", "x"),
            ("a.bin", "x"),
        ]);
        assert_eq!(packed(folder.path()), [".gitignore", ".skyignore", "a.log"]);
    }

    #[test]
    fn a_file_larger_than_a_frame_arrives_whole() {
        let folder = folder_with(&[("big", &"x".repeat(3 * Frame::CHUNK + 17))]);
        let (sender, mut chunks) = mpsc::channel(1024);
        let (files, bytes) = archive(folder.path(), sender).unwrap();
        assert_eq!((files, bytes), (1, 3 * Frame::CHUNK as u64 + 17));
        let mut total = 0;
        while let Ok(chunk) = chunks.try_recv() {
            assert!(chunk.len() <= Frame::CHUNK);
            total += chunk.len() as u64;
        }
        assert!(total > bytes);
    }
}
