//! One channel of a connection: what its task reads and writes. A channel's bytes are bounded both ways by windows: the
//! client's is renewed only as its bytes are used up, so that one slow reader holds nobody else up.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use super::listening::Arrival;

/// Bytes that the client may have on their way in one channel: as many as OpenSSH grants.
pub(crate) const WINDOW: u32 = 2 << 20;
/// Bytes of data in one packet.
pub(crate) const PACKET: u32 = 32 << 10;

/// The connection or the channel has gone: nobody needs the rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone;

/// What the client sends into a channel.
#[derive(Debug)]
pub(crate) enum Input {
    /// Some bytes.
    Data(Vec<u8>),
    /// There are no more.
    Eof,
}

/// How a session's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It exited with this code.
    Exit(u32),
    /// This signal ended it.
    Signal(&'static str),
}

/// What the tasks of channels hand to their connection.
#[derive(Debug)]
pub(crate) enum Post {
    /// Bytes for the client.
    Data {
        channel: u32,
        is_error: bool,
        bytes: Vec<u8>,
    },
    /// So many of the client's bytes are used up.
    Used { channel: u32, bytes: u32 },
    /// No more bytes for the client.
    Eof(u32),
    /// The session's process has ended.
    Ended { channel: u32, end: End },
    /// The channel is to be closed.
    Close(u32),
    /// What the channel was to lead to is reached.
    Opened(u32),
    /// It is not.
    Refused { channel: u32, why: String },
    /// Somebody has called at a port or socket that the client listens at here.
    Arrived(Arrival),
}

/// The task's end of a channel.
#[derive(Debug)]
pub(crate) struct Channel {
    /// What the client sends; ends when the channel does.
    pub(crate) input: mpsc::UnboundedReceiver<Input>,
    /// The way to the client.
    pub(crate) output: Output,
}

/// The way to the client.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    /// The channel's number on this side.
    pub(crate) channel: u32,
    /// The most that the client takes in one packet.
    pub(crate) packet: usize,
    /// What the client has room for; closed when the channel ends.
    pub(crate) credit: Arc<Semaphore>,
    /// The connection.
    pub(crate) posts: mpsc::Sender<Post>,
}

impl Output {
    /// Sends bytes as far as the client has room for them.
    pub(crate) async fn data(&self, mut bytes: &[u8], is_error: bool) -> Result<(), Gone> {
        while !bytes.is_empty() {
            self.credit.acquire().await.map_err(|_| Gone)?.forget();
            let more = (bytes.len().min(self.packet) - 1).min(self.credit.available_permits());
            let more = u32::try_from(more).map_err(|_| Gone)?;
            // Another writer of the channel may have been quicker.
            let taken = match self.credit.try_acquire_many(more) {
                Ok(permits) => {
                    permits.forget();
                    1 + more as usize
                }
                Err(_) => 1,
            };
            let (now, later) = bytes.split_at(taken);
            self.post(Post::Data {
                channel: self.channel,
                is_error,
                bytes: now.to_vec(),
            })
            .await?;
            bytes = later;
        }
        Ok(())
    }

    /// Tells the client that it may send so many bytes more.
    pub(crate) async fn used(&self, bytes: usize) -> Result<(), Gone> {
        let bytes = u32::try_from(bytes).map_err(|_| Gone)?;
        let channel = self.channel;
        self.post(Post::Used { channel, bytes }).await
    }

    /// Hands something to the connection.
    pub(crate) async fn post(&self, post: Post) -> Result<(), Gone> {
        self.posts.send(post).await.map_err(|_| Gone)
    }
}
