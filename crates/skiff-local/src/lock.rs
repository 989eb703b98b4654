//! One command at a time works on a cluster.
//!
//! An advisory lock of the operating system, so that nothing is left when its holder dies.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::fs::{FlockOperation, flock};

use crate::file::FileError;

/// A held lock; dropping it releases it.
pub(crate) struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl Lock {
    /// Takes the lock, calling `waiting` first if another process holds it.
    pub(crate) async fn acquire(path: &Path, waiting: impl FnOnce()) -> Result<Self, FileError> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(FileError::at("open", path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Self(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => waiting(),
            Err(error) => return Err(FileError::at("lock", path)(error.into())),
        }
        let blocking = tokio::task::spawn_blocking(move || {
            flock(&file, FlockOperation::LockExclusive).map(|()| file)
        });
        let locked = blocking.await.map_err(io::Error::other);
        let file = locked
            .and_then(|result| result.map_err(io::Error::from))
            .map_err(FileError::at("lock", path))?;
        Ok(Self(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_waits_until_the_first_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Lock::acquire(&path, || unreachable!("nobody holds it"))
            .await
            .unwrap();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let second = async {
            Lock::acquire(&path, || sender.send(()).unwrap())
                .await
                .unwrap();
        };
        let release = async {
            receiver.await.unwrap();
            drop(first);
        };
        tokio::join!(second, release);
    }
}
