//! What goes on at this node, told by those who do it.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use super::{Load, Share};

/// Where work is told of.
#[derive(Clone, Debug)]
pub(crate) struct Activity {
    told: Arc<watch::Sender<Told>>,
}

/// What has been told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// What goes on.
    pub(super) load: Load,
    /// When an SSH session ended last.
    session_ended: Option<Instant>,
}

/// Which kind of work.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Request,
    Session,
}

/// Work that goes on as long as this exists.
#[derive(Debug)]
pub(crate) struct Busy {
    activity: Activity,
    kind: Kind,
}

impl Activity {
    /// Nothing goes on.
    pub(crate) fn new() -> Self {
        Self {
            told: Arc::new(watch::Sender::new(Told::default())),
        }
    }

    /// So many jobs have not ended.
    pub(crate) fn jobs(&self, open: usize) {
        self.told.send_if_modified(|told| {
            let jobs = &mut told.load.jobs;
            let is_new = jobs.open != open;
            if is_new {
                *jobs = Share {
                    open,
                    changes: jobs.changes + 1,
                };
            }
            is_new
        });
    }

    /// A client's request is worked on that changes something.
    pub(crate) fn request(&self) -> Busy {
        self.begin(Kind::Request)
    }

    /// An SSH session is open.
    pub(crate) fn session(&self) -> Busy {
        self.begin(Kind::Session)
    }

    /// How many SSH sessions are open, and for how many milliseconds there has been none.
    pub(crate) fn sessions(&self) -> (u64, Option<u64>) {
        let told = self.told.borrow();
        let open = u64::try_from(told.load.sessions.open).unwrap_or(u64::MAX);
        let quiet = told.session_ended.map(|ended| ended.elapsed().as_millis());
        (open, quiet.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX)))
    }

    /// What goes on, now and whenever it changes.
    pub(super) fn subscribe(&self) -> watch::Receiver<Told> {
        self.told.subscribe()
    }

    fn begin(&self, kind: Kind) -> Busy {
        self.change(kind, |open| open + 1);
        Busy {
            activity: self.clone(),
            kind,
        }
    }

    fn change(&self, kind: Kind, change: impl FnOnce(usize) -> usize) {
        self.told.send_modify(|told| {
            let share = match kind {
                Kind::Request => &mut told.load.requests,
                Kind::Session => &mut told.load.sessions,
            };
            *share = Share {
                open: change(share.open),
                changes: share.changes + 1,
            };
            if matches!(kind, Kind::Session) {
                told.session_ended = Some(Instant::now());
            }
        });
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.activity
            .change(self.kind, |open| open.saturating_sub(1));
    }
}
