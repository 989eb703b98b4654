//! Ctrl-C as a value that a use case can wait for.

use std::sync::Arc;

use tokio::sync::watch;

/// Whether the user wants it to end. Clones share the state.
#[derive(Clone, Debug)]
pub struct Interrupt {
    sender: Arc<watch::Sender<bool>>,
}

impl Default for Interrupt {
    fn default() -> Self {
        Self {
            sender: Arc::new(watch::Sender::new(false)),
        }
    }
}

impl Interrupt {
    /// Asks whatever works to end.
    pub fn raise(&self) {
        self.sender.send_replace(true);
    }

    /// Resolves once [`Interrupt::raise`] has been called.
    pub async fn raised(&self) {
        let mut receiver = self.sender.subscribe();
        let _ = receiver.wait_for(|raised| *raised).await;
    }

    /// Drives `work` to its end, or gives None as soon as the user wants it to end.
    pub async fn unless<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.raised() => None,
            value = work => Some(value),
        }
    }
}
