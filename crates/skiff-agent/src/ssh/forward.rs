//! What the client reaches through the node: ports (`-L`, `-D`) and sockets.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::channel::{Channel, Post};
use super::relay::relay;
use super::resolve;

/// How long a target has to answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// How many of a name's addresses are tried.
const TRIES: usize = 4;

/// Where a channel leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A host by its name or address, and a port.
    Tcp(String, u16),
    /// A socket.
    Unix(PathBuf),
}

/// Leads a channel to its target, until either ends.
pub(crate) async fn reach(target: Target, channel: Channel) {
    let number = channel.output.channel;
    let posts = channel.output.posts.clone();
    let refused = match target {
        Target::Tcp(host, port) => match within(connect(&host, port)).await {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                let (from, to) = stream.into_split();
                if posts.send(Post::Opened(number)).await.is_ok() {
                    relay(channel, from, to).await;
                }
                return;
            }
            Err(error) => error,
        },
        Target::Unix(path) => match within(UnixStream::connect(path)).await {
            Ok(stream) => {
                let (from, to) = stream.into_split();
                if posts.send(Post::Opened(number)).await.is_ok() {
                    relay(channel, from, to).await;
                }
                return;
            }
            Err(error) => error,
        },
    };
    let why = refused.to_string();
    // A client that has gone needs no answer.
    let _ = posts
        .send(Post::Refused {
            channel: number,
            why,
        })
        .await;
}

async fn within<T>(attempt: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = |_| Err(io::Error::from(io::ErrorKind::TimedOut));
    timeout(PATIENCE, attempt).await.unwrap_or_else(late)
}

async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let addresses: Vec<IpAddr> = match host.trim_matches(['[', ']']).parse() {
        Ok(address) => vec![address],
        Err(_) => resolve(host).await?,
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
    for address in addresses.into_iter().take(TRIES) {
        match TcpStream::connect(SocketAddr::new(address, port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
