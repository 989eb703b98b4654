//! Commands in containers, over the API server's WebSocket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{AttachParams, AttachedProcess};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::{ApiError, Cluster};

/// Bytes that may wait in each direction: enough for a few of the largest frames on the way.
const PIPE: usize = 256 << 10;
/// What is kept of the command's error output.
const STDERR: u64 = 8 << 10;

/// A command that runs in a container.
pub struct ExecStream {
    /// Its input.
    pub stdin: Box<dyn AsyncWrite + Send + Unpin>,
    /// Its output.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// Resolves to how it ended, once its output has ended. The stream lives as long as this.
    pub end: ExecEnd,
}

/// How a command ended, when asked after its output has ended. Dropping it ends the stream.
pub struct ExecEnd {
    process: AttachedProcess,
    stderr: Box<dyn AsyncRead + Send + Unpin>,
    status: End,
}

/// The API server's words about the end, once the stream has ended in whichever way.
type End = Shared<BoxFuture<'static, Option<String>>>;

impl ExecEnd {
    /// The command's last words on its error output, or the API server's reason; empty where there is none.
    pub async fn reason(self) -> String {
        let Self {
            process,
            stderr,
            status,
        } = self;
        let mut text = Vec::new();
        let _ = stderr.take(STDERR).read_to_end(&mut text).await;
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        let reason = if text.is_empty() {
            status.await.unwrap_or_default()
        } else {
            text
        };
        drop(process);
        reason
    }
}

/// One of the client's pipes. They do not end when the stream breaks: this one does.
struct UntilEnd<P> {
    pipe: P,
    end: End,
    ended: bool,
}

impl<P> UntilEnd<P> {
    fn new(pipe: P, end: &End) -> Self {
        Self {
            pipe,
            end: end.clone(),
            ended: false,
        }
    }

    /// Whether the stream has ended; if not, the task is woken when it has.
    fn has_ended(&mut self, context: &mut Context<'_>) -> bool {
        self.ended = self.ended || self.end.poll_unpin(context).is_ready();
        self.ended
    }
}

impl<P: AsyncRead + Unpin> AsyncRead for UntilEnd<P> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let read = Pin::new(&mut this.pipe).poll_read(context, buffer);
        if read.is_ready() || !this.has_ended(context) {
            return read;
        }
        // What came before the end is in the pipe by now; when that is read, nothing follows.
        match Pin::new(&mut this.pipe).poll_read(context, buffer) {
            Poll::Pending => Poll::Ready(Ok(())),
            Poll::Ready(read) => Poll::Ready(read),
        }
    }
}

impl<P: AsyncWrite + Unpin> AsyncWrite for UntilEnd<P> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.has_ended(context) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut this.pipe).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(context)
    }
}

impl Cluster {
    /// Runs a command in a container.
    pub async fn exec(
        &self,
        pod: &str,
        container: &str,
        command: &[&str],
    ) -> Result<ExecStream, ApiError> {
        let params = AttachParams::default()
            .container(container)
            .stdin(true)
            .stdout(true)
            .stderr(true)
            .max_stdin_buf_size(PIPE)
            .max_stdout_buf_size(PIPE)
            .max_stderr_buf_size(PIPE);
        let mut process = self
            .api::<Pod>()
            .exec(pod, command.iter().copied(), &params)
            .await
            .map_err(|error| self.failed("open a stream to", self.object::<Pod>(pod), &error))?;
        let asked_for = "the stream was asked for";
        let status = process.take_status().expect("it is taken once");
        let end = status
            .map(|status| status.and_then(|status| status.message))
            .boxed()
            .shared();
        Ok(ExecStream {
            stdin: Box::new(UntilEnd::new(process.stdin().expect(asked_for), &end)),
            stdout: Box::new(UntilEnd::new(process.stdout().expect(asked_for), &end)),
            end: ExecEnd {
                stderr: Box::new(UntilEnd::new(process.stderr().expect(asked_for), &end)),
                process,
                status: end,
            },
        })
    }
}
