//! How long an API server may take to answer: one that takes a request and stays silent would hold
//! a command for ever.

use std::time::Duration;

use thiserror::Error;
use tokio::time::{sleep, timeout};

/// For questions: nothing but the server's own storage is behind them.
pub(crate) const READ: Duration = Duration::from_secs(15);
/// For changes: admission webhooks may take half a minute, and the server itself gives up after a whole one.
pub(crate) const WRITE: Duration = Duration::from_secs(75);

/// The server took a request and did not answer.
#[derive(Debug, Error)]
#[error("it has not answered within {} s", .0.as_secs())]
struct NoAnswer(Duration);

/// The pauses before a question is asked again.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// The answer to a question, which is asked again where the server met trouble of its own: its storage may have been
/// away for a moment.
pub(crate) async fn asked<T, F>(question: impl Fn() -> F) -> kube::Result<T>
where
    F: Future<Output = kube::Result<T>>,
{
    let mut pauses = PAUSES.into_iter();
    loop {
        // Boxed: it is part of every command's future.
        let answer = within(READ, Box::pin(question())).await;
        match (&answer, pauses.next()) {
            (Err(kube::Error::Api(status)), Some(pause)) if status.code == 500 => {
                sleep(pause).await;
            }
            _ => return answer,
        }
    }
}

/// The answer to a request, or the error that there was none in time.
pub(crate) async fn within<T>(
    patience: Duration,
    request: impl Future<Output = kube::Result<T>>,
) -> kube::Result<T> {
    timeout(patience, request)
        .await
        .unwrap_or_else(|_| Err(kube::Error::Service(Box::new(NoAnswer(patience)))))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use kube::core::Status;

    use super::asked;

    /// How often a question is asked that the server answers with these codes, and whether it has an answer then.
    async fn tries(codes: &[u16]) -> (usize, bool) {
        let count = Cell::new(0);
        let answer = asked(|| {
            let code = codes.get(count.get()).copied();
            count.set(count.get() + 1);
            async move {
                code.map_or(Ok(()), |code| {
                    let status = Status::failure("etcd is away", "").with_code(code);
                    Err(kube::Error::Api(status.boxed()))
                })
            }
        });
        let is_answered = answer.await.is_ok();
        (count.get(), is_answered)
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_in_trouble_is_asked_again_and_a_refusal_is_taken() {
        assert_eq!(tries(&[]).await, (1, true));
        assert_eq!(tries(&[500]).await, (2, true));
        assert_eq!(tries(&[500; 9]).await, (3, false));
        assert_eq!(tries(&[403]).await, (1, false));
    }
}
