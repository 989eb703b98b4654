//! How many of something there are, to be waited for.

use std::sync::Arc;

use tokio::sync::watch;

/// The number.
#[derive(Clone, Debug, Default)]
pub(super) struct Count(Arc<watch::Sender<usize>>);

/// One of them, as long as it is held.
#[derive(Debug)]
pub(super) struct Counted(Count);

impl Count {
    /// One more.
    pub(super) fn add(&self) -> Counted {
        self.0.send_modify(|count| *count += 1);
        Counted(self.clone())
    }

    /// Waits until there is none.
    pub(super) async fn none(&self) {
        // The sender is held here: the wait cannot fail.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}
