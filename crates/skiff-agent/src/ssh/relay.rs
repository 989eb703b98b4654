//! Bytes between a channel and a stream: forwarded ports and sockets.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};

use super::channel::{Channel, Gone, Input, Output, PACKET, Post};

/// Copies both ways until both have ended, one breaks, or the client closes the channel.
pub(crate) async fn relay(
    channel: Channel,
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
) {
    let Channel { input, output } = channel;
    let ended = Notify::new();
    let both = async {
        downward(&output, from).await?;
        ended.notified().await;
        Ok::<(), Gone>(())
    };
    // In whichever way this ends the channel is closed.
    tokio::select! {
        _ = upward(input, &output, to, &ended) => {}
        _ = both => {}
    }
    // A connection that has gone needs no word.
    let _ = output.post(Post::Close(output.channel)).await;
}

/// Goes on after the client's last byte, to see the channel's end.
async fn upward(
    mut input: mpsc::UnboundedReceiver<Input>,
    output: &Output,
    mut to: impl AsyncWrite + Unpin,
    ended: &Notify,
) -> Result<(), Gone> {
    loop {
        match input.recv().await.ok_or(Gone)? {
            Input::Data(bytes) => {
                to.write_all(&bytes).await.map_err(|_| Gone)?;
                output.used(bytes.len()).await?;
            }
            Input::Eof => {
                // The other side may still have something to say.
                to.shutdown().await.map_err(|_| Gone)?;
                ended.notify_one();
            }
        }
    }
}

async fn downward(output: &Output, mut from: impl AsyncRead + Unpin) -> Result<(), Gone> {
    let mut buffer = vec![0; PACKET as usize];
    loop {
        let count = from.read(&mut buffer).await.map_err(|_| Gone)?;
        if count == 0 {
            return output.post(Post::Eof(output.channel)).await;
        }
        output.data(&buffer[..count], false).await?;
    }
}
