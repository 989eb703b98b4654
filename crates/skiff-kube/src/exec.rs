//! Commands in containers, over the API server's WebSocket.
//!
//! The messages are large: every process on the way to the container handles each by itself, and `kube`'s own loop
//! cuts them at 4 KiB.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{AttachParams, Request};
use kube::client::Connection;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::{ApiError, Cluster, Turn};

/// Bytes that may wait in each direction: enough for a few of the largest frames on the way.
const PIPE: usize = 256 << 10;
/// Bytes of the command's input in one message, at most.
const MESSAGE: usize = 64 << 10;
/// What is kept of the command's error output.
const STDERR: u64 = 8 << 10;
/// How often an idle connection is used, so that nobody on the way takes it for dead.
const KEEP_ALIVE: Duration = Duration::from_mins(1);

/// The first byte of a message says which stream it belongs to.
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR_STREAM: u8 = 2;
const STATUS: u8 = 3;
/// Ends the stream whose number follows.
const CLOSE: u8 = 255;

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
    stderr: DuplexStream,
    /// Gives the API server's words about the end, once the stream has ended in whichever way.
    moving: Moving,
}

/// The task that moves the bytes; it ends when this is dropped.
struct Moving(JoinHandle<Option<String>>);

impl Drop for Moving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ExecEnd {
    /// The command's last words on its error output, or the API server's reason; empty where there is none.
    pub async fn reason(mut self) -> String {
        let mut text = Vec::new();
        let _ = self.stderr.take(STDERR).read_to_end(&mut text).await;
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        if !text.is_empty() {
            return text;
        }
        // A task that was not aborted and did not panic gives its result.
        (&mut self.moving.0)
            .await
            .ok()
            .flatten()
            .unwrap_or_default()
    }
}

impl Cluster {
    /// Runs a command in a container. The turn at its pod ends when the command is seen to have begun.
    pub async fn exec(
        &self,
        turn: Turn,
        pod: &str,
        container: &str,
        command: &[&str],
    ) -> Result<ExecStream, ApiError> {
        let params = AttachParams::default()
            .container(container)
            .stdin(true)
            .stdout(true)
            .stderr(true);
        let api = self.api::<Pod>();
        let opening = async {
            let request = Request::new(api.resource_url());
            let request = request
                .exec(pod, command.iter().copied(), &params)
                .map_err(kube::Error::BuildRequest)?;
            api.clone().into_client().connect(request).await
        };
        let connection = opening
            .await
            .map_err(|error| self.failed("open a stream to", self.object::<Pod>(pod), &error))?;
        let (stdin, input) = duplex(PIPE);
        let (stdout, output) = duplex(PIPE);
        let (stderr, errors) = duplex(PIPE);
        // Whichever way it ends: its ends of the pipes are dropped then, which ends ours.
        let moving = tokio::spawn(carry(connection, turn, input, output, errors));
        Ok(ExecStream {
            stdin: Box::new(stdin),
            stdout: Box::new(stdout),
            end: ExecEnd {
                stderr,
                moving: Moving(moving),
            },
        })
    }
}

/// Moves bytes both ways until the stream ends; gives the API server's words about that.
async fn carry(
    connection: Connection,
    turn: Turn,
    input: DuplexStream,
    output: DuplexStream,
    errors: DuplexStream,
) -> Option<String> {
    let can_close_streams = connection.supports_stream_close();
    let (sender, receiver) = connection.into_stream().split();
    tokio::select! {
        end = receive(receiver, turn, output, errors) => end,
        // Where nothing can be sent any more, the receiver meets the end.
        never = async { send(sender, input, can_close_streams).await; pending::<Infallible>().await } => match never {},
    }
}

async fn send<S: AsyncRead + AsyncWrite + Unpin>(
    mut sender: SplitSink<WebSocketStream<S>, Message>,
    mut input: DuplexStream,
    can_close_streams: bool,
) {
    let mut keep_alive = interval(KEEP_ALIVE);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    keep_alive.reset();
    let mut is_open = true;
    let mut sent: Result<(), Error> = Ok(());
    while sent.is_ok() {
        let mut bytes = Vec::with_capacity(1 + MESSAGE);
        bytes.push(STDIN);
        tokio::select! {
            read = input.read_buf(&mut bytes), if is_open => {
                is_open = matches!(read, Ok(1..));
                sent = if is_open {
                    sender.send(Message::binary(bytes)).await
                } else if can_close_streams {
                    sender.send(Message::binary(vec![CLOSE, STDIN])).await
                } else {
                    // An old API server knows the end of a command's input by the end of everything.
                    sender.close().await
                };
            }
            _ = keep_alive.tick() => sent = sender.send(Message::Ping(Vec::new().into())).await,
        }
    }
}

async fn receive<S: AsyncRead + AsyncWrite + Unpin>(
    mut receiver: SplitStream<WebSocketStream<S>>,
    turn: Turn,
    mut output: DuplexStream,
    mut errors: DuplexStream,
) -> Option<String> {
    let mut turn = Some(turn);
    while let Some(Ok(message)) = receiver.next().await {
        let Message::Binary(bytes) = message else {
            continue;
        };
        // An empty message comes before the command is started.
        if bytes.len() > 1 {
            drop(turn.take());
        }
        // Whoever does not read one of the streams may still want the other.
        match bytes.split_first() {
            Some((&STDOUT, bytes)) => drop(output.write_all(bytes).await),
            Some((&STDERR_STREAM, bytes)) => drop(errors.write_all(bytes).await),
            Some((&STATUS, bytes)) => {
                let status: Option<Status> = serde_json::from_slice(bytes).ok();
                return status.and_then(|status| status.message);
            }
            _ => {}
        }
    }
    None
}
