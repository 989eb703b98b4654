//! How long an API server may take to answer: one that takes a request and stays silent would hold
//! a command for ever.

use std::time::Duration;

use thiserror::Error;
use tokio::time::timeout;

/// For questions: nothing but the server's own storage is behind them.
pub(crate) const READ: Duration = Duration::from_secs(15);
/// For changes: admission webhooks may take half a minute, and the server itself gives up after a whole one.
pub(crate) const WRITE: Duration = Duration::from_secs(75);

/// The server took a request and did not answer.
#[derive(Debug, Error)]
#[error("it has not answered within {} s", .0.as_secs())]
struct NoAnswer(Duration);

/// The answer to a request, or the error that there was none in time.
pub(crate) async fn within<T>(
    patience: Duration,
    request: impl Future<Output = kube::Result<T>>,
) -> kube::Result<T> {
    timeout(patience, request)
        .await
        .unwrap_or_else(|_| Err(kube::Error::Service(Box::new(NoAnswer(patience)))))
}
