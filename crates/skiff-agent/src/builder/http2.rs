//! As much of HTTP/2 as tells that a gRPC server answers, and later that it has gone: the greeting, and the answers
//! that keep a connection alive which asks for nothing.

use std::io;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// The client's greeting, with settings as they are by default.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// The frame that takes the server's settings note of.
const SETTINGS_SEEN: &[u8] = b"\0\0\0\x04\x01\0\0\0\0";
const HEAD: usize = 9;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
/// The flag of a frame that answers another.
const ANSWER: u8 = 1;
/// The longest frame that a server sends to a client that has not asked for longer ones.
const LONGEST: usize = 16 << 10;

/// A connection to a server that has answered.
#[derive(Debug)]
pub(crate) struct Connection(UnixStream);

/// One frame of the server's.
struct Frame {
    kind: u8,
    flags: u8,
    payload: Vec<u8>,
}

impl Connection {
    /// Connects and waits for the server's greeting, which comes when it serves.
    pub(crate) async fn open(socket: &Path) -> io::Result<Self> {
        let mut connection = Self(UnixStream::connect(socket).await?);
        connection.0.write_all(GREETING).await?;
        let first = connection.frame().await?;
        if first.kind != SETTINGS || first.flags & ANSWER != 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        connection.0.write_all(SETTINGS_SEEN).await?;
        Ok(connection)
    }

    /// Returns when the server has gone.
    pub(crate) async fn until_over(mut self) {
        while let Ok(frame) = self.frame().await {
            let answer = match (frame.kind, frame.flags & ANSWER) {
                (GO_AWAY, _) => return,
                (SETTINGS, 0) => SETTINGS_SEEN.to_vec(),
                (PING, 0) => {
                    let mut answer = vec![0, 0, 8, PING, ANSWER, 0, 0, 0, 0];
                    answer.extend(frame.payload);
                    answer
                }
                _ => continue,
            };
            if self.0.write_all(&answer).await.is_err() {
                return;
            }
        }
    }

    async fn frame(&mut self) -> io::Result<Frame> {
        let mut head = [0; HEAD];
        self.0.read_exact(&mut head).await?;
        let length = head[..3]
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte));
        if length > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await?;
        Ok(Frame {
            kind: head[3],
            flags: head[4],
            payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::{Connection, GREETING, SETTINGS_SEEN};

    #[tokio::test]
    async fn a_server_that_serves_is_told_from_one_that_does_not_and_its_pings_are_answered() {
        let dir = tempfile::tempdir().expect("a folder");
        let socket = dir.path().join("s");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let server = tokio::spawn(async move {
            let (mut plain, _) = listener.accept().await.expect("a client");
            plain
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .expect("sent");
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut greeting = vec![0; GREETING.len()];
            stream.read_exact(&mut greeting).await.expect("greeted");
            assert_eq!(greeting, GREETING);
            // Settings with one entry, a window, then a ping.
            let frames =
                b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0\0\0\x04\x08\0\0\0\0\0\0\0\xff\xff\
                \0\0\x08\x06\0\0\0\0\0abcdefgh";
            stream.write_all(frames).await.expect("sent");
            let mut answers = vec![0; SETTINGS_SEEN.len() + 17];
            stream.read_exact(&mut answers).await.expect("answered");
            assert_eq!(&answers[9..], b"\0\0\x08\x06\x01\0\0\0\0abcdefgh");
        });
        assert!(Connection::open(&socket).await.is_err());
        let connection = Connection::open(&socket).await.expect("it serves");
        connection.until_over().await;
        server.await.expect("as expected");
    }
}
