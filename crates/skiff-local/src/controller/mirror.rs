//! Copies of all objects of a kind, kept current by a watch that never gives up.

use std::{fmt::Debug, sync::Arc, time::Duration};

use futures::{StreamExt, future::BoxFuture};
use kube::{
    Api, Resource,
    runtime::{
        WatchStreamExt, reflector,
        utils::Backoff,
        watcher::{self, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use super::Log;

/// Pauses between attempts to reach an API server that is gone.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// All objects of a kind as they were when last heard of.
pub(super) struct Mirror<K>
where
    K: Resource<DynamicType = ()> + 'static,
{
    store: reflector::Store<K>,
}

impl<K> Mirror<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    /// The mirror, and the work that keeps it current and tells of every change.
    pub(super) fn new<'a>(
        api: Api<K>,
        changed: &'a Notify,
        log: Log<'a>,
    ) -> (Self, BoxFuture<'a, ()>) {
        let (store, writer) = reflector::store();
        let events = watcher(api, watcher::Config::default())
            .reflect(writer)
            .backoff(Pauses(FIRST_PAUSE));
        let work = async move {
            let mut heard = true;
            let mut events = std::pin::pin!(events);
            while let Some(event) = events.next().await {
                match event {
                    Ok(_) => {
                        heard = true;
                        changed.notify_one();
                    }
                    // One line a loss, not one an attempt.
                    Err(error) if heard => {
                        heard = false;
                        log(&format!("cannot watch {}: {error}", K::plural(&())));
                    }
                    Err(_) => {}
                }
            }
        };
        (Self { store }, Box::pin(work))
    }

    /// The objects, once the first list has arrived.
    pub(super) async fn objects(&self) -> Vec<Arc<K>> {
        // The writer lives as long as the work that is awaited beside this.
        let _ = self.store.wait_until_ready().await;
        self.store.state()
    }
}

/// Doubling pauses, back to the first after a success.
struct Pauses(Duration);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST_PAUSE);
        Some(pause)
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0 = FIRST_PAUSE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_start_anew() {
        let mut pauses = Pauses(FIRST_PAUSE);
        assert_eq!(pauses.next(), Some(FIRST_PAUSE));
        assert_eq!(pauses.nth(20), Some(LONGEST_PAUSE));
        pauses.reset();
        assert_eq!(pauses.next(), Some(FIRST_PAUSE));
    }
}
