//! Waiting for changes in a folder, by inotify. Must not poll.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// A folder whose entries' coming, going, renaming and change of rights wake a waiter.
#[derive(Debug)]
pub(crate) struct DirWatch {
    /// Not a pipe, but read like one; what the events say is not looked at.
    events: pipe::Receiver,
}

impl DirWatch {
    /// Watches a folder. What happens from here on is not missed: look at the folder after this.
    pub(crate) fn new(dir: &Path) -> io::Result<Self> {
        let entries = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVED_TO;
        Self::watch(dir, entries | WatchFlags::ATTRIB)
    }

    /// Watches what is in one file, where it is changed in place.
    pub(crate) fn of_file(file: &Path) -> io::Result<Self> {
        Self::watch(file, WatchFlags::MODIFY)
    }

    fn watch(path: &Path, what: WatchFlags) -> io::Result<Self> {
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        inotify::add_watch(&events, path, what)?;
        Ok(Self {
            events: pipe::Receiver::from_file_unchecked(File::from(events))?,
        })
    }

    /// Returns after something has changed since the last time.
    pub(crate) async fn changed(&mut self) -> io::Result<()> {
        // Room for several events with names of any length; what does not fit wakes the next call.
        let mut buffer = [0; 4096];
        self.events.read(&mut buffer).await.map(drop)
    }
}
