//! Takes an upload from a client into the working folder: all of it, or nothing.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use skiff_proto::{Fault, FaultKind};

use crate::connection::{Piece, Upload};
use crate::fault;
use crate::server::Service;
use crate::workdir::{self, UnpackError};

/// Receives one archive and answers what came of it; None where the client went before its end, so that
/// nobody waits for an answer and nothing was changed.
pub(crate) async fn receive(upload: Upload, service: &Service) -> Option<Result<(), Fault>> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let staging = Staging(service.layout.incoming().join(number.to_string()));
    let unpacked = blocking(move || {
        let mut reader = PieceReader {
            upload,
            current: Vec::new(),
            at: 0,
            end: false,
            is_broken: false,
        };
        let result = workdir::unpack(&mut reader, &staging.0);
        (result, reader.is_broken, staging)
    });
    let (result, is_broken, staging) = unpacked.await;
    match result {
        Ok(()) => {}
        Err(UnpackError::Archive(_)) if is_broken => return None,
        Err(error) => return Some(Err(refusal(&error))),
    }
    let _turn = service.placing.lock().await;
    let target = service.workdir.clone();
    let placed = blocking(move || workdir::place(&staging.0, &target)).await;
    Some(placed.map_err(|error| refusal(&error)))
}

/// Runs file work on a thread that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("the work does not panic and is never aborted")
}

fn refusal(error: &UnpackError) -> Fault {
    let message = match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    Fault {
        kind: kind(error),
        message,
    }
}

fn kind(error: &UnpackError) -> FaultKind {
    match error {
        UnpackError::Write(_, source) | UnpackError::Place(_, source) if fault::is_full(source) => {
            FaultKind::DiskFull
        }
        UnpackError::Write(..) | UnpackError::Place(..) => FaultKind::System,
        UnpackError::Archive(_)
        | UnpackError::Outside(_)
        | UnpackError::Through(_)
        | UnpackError::Kind(..)
        | UnpackError::InTheWay(_) => FaultKind::Invalid,
    }
}

/// A folder that goes when nobody needs it any more.
struct Staging(PathBuf);

impl Drop for Staging {
    fn drop(&mut self) {
        // What is left is removed when the agent starts the next time.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An upload as a stream of bytes; an error where the connection breaks before its end.
struct PieceReader {
    upload: Upload,
    current: Vec<u8>,
    at: usize,
    end: bool,
    is_broken: bool,
}

impl Read for PieceReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.current.len() {
            if self.end {
                return Ok(0);
            }
            match self.upload.next() {
                Some(Piece::Data(bytes)) => {
                    self.upload.consumed(bytes.len());
                    (self.current, self.at) = (bytes, 0);
                }
                Some(Piece::End) => self.end = true,
                None => {
                    self.is_broken = true;
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
            }
        }
        let count = out.len().min(self.current.len() - self.at);
        out[..count].copy_from_slice(&self.current[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
