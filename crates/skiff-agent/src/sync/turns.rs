//! Which syncs are under way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, watch};

/// All syncs that are under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns {
    by_name: Arc<Mutex<HashMap<String, Named>>>,
    placing: Arc<AsyncMutex<()>>,
}

/// The syncs of one name, of which the newest goes on.
#[derive(Clone, Debug)]
struct Named {
    newest: watch::Sender<u64>,
    busy: Arc<AsyncMutex<()>>,
}

/// One sync's right to go on; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Turns,
    name: String,
    number: u64,
    newest: watch::Receiver<u64>,
    _busy: OwnedMutexGuard<()>,
}

/// Becomes ready when a client has come back with the same sync.
pub(crate) struct Displaced {
    number: u64,
    newest: watch::Receiver<u64>,
}

impl Turns {
    /// Ends an older sync of the same name, and begins when that has kept what it had.
    pub(crate) async fn begin(&self, name: String) -> Turn {
        let named = {
            let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
            by_name
                .entry(name.clone())
                .or_insert_with(|| Named {
                    newest: watch::Sender::new(0),
                    busy: Arc::default(),
                })
                .clone()
        };
        named.newest.send_modify(|number| *number += 1);
        let newest = named.newest.subscribe();
        let number = *newest.borrow();
        Turn {
            turns: self.clone(),
            name,
            number,
            newest,
            _busy: named.busy.lock_owned().await,
        }
    }

    /// One sync at a time changes the trees.
    pub(crate) async fn placing(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.placing).lock_owned().await
    }
}

impl Turn {
    /// What becomes ready when this turn is over.
    pub(crate) fn displaced(&self) -> Displaced {
        Displaced {
            number: self.number,
            newest: self.newest.clone(),
        }
    }
}

impl Displaced {
    pub(crate) async fn wait(&mut self) {
        let number = self.number;
        if self
            .newest
            .wait_for(|newest| *newest != number)
            .await
            .is_err()
        {
            // Nobody is left to come back.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut by_name = self
            .turns
            .by_name
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *self.newest.borrow() == self.number {
            by_name.remove(&self.name);
        }
    }
}
