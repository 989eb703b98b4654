//! Turns at a container: of the commands that this machine has run in it, a few are started at a time.
//!
//! The runtime starts them one after the other anyway, and cannot stand a crowd: containerd hands the ends of processes
//! on through a queue of 32, which waits while a command is being started. With 200 at once they hold each other up for
//! minutes, and with them all else that is asked of the container (containerd/containerd#2709, #13849).

use std::convert::Infallible;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::Cluster;

/// A turn ends after so long, whether its command has begun or not.
const LONGEST: Duration = Duration::from_secs(5);
/// Nobody has held a turn for so long unless he was stopped.
const STUCK: Duration = Duration::from_secs(10);
/// Commands that are started in a container at a time: enough to hide the way to it.
const SIDE_BY_SIDE: u32 = 4;
/// Containers of the same file wait for each other without need.
const FILES: u64 = 256;

/// The right to start a command in a container, until it is dropped or has lasted too long. It is a courtesy: where files
/// cannot be locked, all have it at once.
pub struct Turn {
    /// None for a turn that nobody waits for.
    _held: Option<oneshot::Sender<Infallible>>,
}

impl Cluster {
    /// Waits until few others on this machine are starting a command in the pod.
    pub async fn turn(&self, pod: &str) -> Turn {
        let mut hasher = DefaultHasher::new();
        let place = std::process::id() % SIDE_BY_SIDE;
        (&self.server, &self.namespace, pod, place).hash(&mut hasher);
        let file = self.turns.join(format!("{:02x}", hasher.finish() % FILES));
        Turn::take(file).await
    }
}

impl Turn {
    async fn take(path: PathBuf) -> Self {
        let file = path.clone();
        let mut locking = spawn_blocking(move || lock(&file));
        let locked = loop {
            match timeout(STUCK, &mut locking).await {
                Ok(locked) => break locked.ok().and_then(Result::ok),
                Err(_) if is_stuck(&path) => break None,
                Err(_) => {}
            }
        };
        Self {
            _held: locked.map(hold),
        }
    }
}

/// Keeps a lock until what is returned is dropped, and no longer than a turn is.
fn hold(lock: File) -> oneshot::Sender<Infallible> {
    let (held, dropped) = oneshot::channel();
    tokio::spawn(async move {
        let _ = timeout(LONGEST, dropped).await;
        drop(lock);
    });
    held
}

/// The file's time is the beginning of the turn.
fn lock(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let file = File::options().create(true).append(true).open(path)?;
    file.lock()?;
    file.set_modified(SystemTime::now())?;
    Ok(file)
}

/// Whether the turn has to be gone past. Who does so begins one of his own, for which others wait.
fn is_stuck(path: &Path) -> bool {
    let Ok(file) = File::options().append(true).open(path) else {
        return true;
    };
    let begun = file.metadata().and_then(|metadata| metadata.modified());
    let is_young = begun.is_ok_and(|begun| begun.elapsed().is_ok_and(|age| age < STUCK));
    if !is_young {
        // Where it cannot be set, more go past than need to.
        let _ = file.set_modified(SystemTime::now());
    }
    !is_young
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder can be made")
    }

    #[tokio::test]
    async fn one_follows_the_other() {
        let folder = folder();
        let path = folder.path().join("turns/00");
        let first = Turn::take(path.clone()).await;
        let mut second = Box::pin(Turn::take(path));
        assert!(
            timeout(Duration::from_millis(50), &mut second)
                .await
                .is_err(),
            "the first has not ended"
        );
        drop(first);
        second.await;
    }

    #[tokio::test]
    async fn a_holder_that_was_stopped_is_gone_past() {
        let folder = folder();
        let path = folder.path().join("00");
        let stopped = lock(&path).expect("the folder is ours");
        stopped
            .set_modified(SystemTime::now() - STUCK)
            .expect("the file is ours");
        assert!(is_stuck(&path));
        assert!(
            !is_stuck(&path),
            "the next waits for the one that went past"
        );
    }

    #[tokio::test]
    async fn where_nothing_can_be_locked_nobody_waits() {
        let path = Path::new("/dev/null/00").to_owned();
        let first = Turn::take(path.clone()).await;
        Turn::take(path).await;
        drop(first);
    }
}
