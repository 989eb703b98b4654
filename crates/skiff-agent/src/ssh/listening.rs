//! Ports and sockets of the node at which the client listens (`-R`, a forwarded authentication agent). They end with
//! the connection.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::channel::Post;
use super::wire::Writer;

/// How long to wait before the next try where no call can be taken, for want of file descriptors perhaps.
const PAUSE: Duration = Duration::from_millis(200);

/// Somebody has called.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// The kind of channel that is to be opened for him.
    pub(crate) kind: &'static str,
    /// What the protocol tells of him.
    pub(crate) details: Vec<u8>,
    /// His stream.
    pub(crate) stream: Stream,
}

/// A stream of either kind.
#[derive(Debug)]
pub(crate) enum Stream {
    /// A TCP connection.
    Tcp(TcpStream),
    /// A connection to a unix socket.
    Unix(UnixStream),
}

/// Where the client listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// An address as the client names it, and a port.
    Tcp(String, u16),
    /// A socket.
    Unix(PathBuf),
}

/// All places where one connection's client listens.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    places: HashMap<Place, Ear>,
}

/// One place's listener; ends when dropped.
#[derive(Debug)]
pub(crate) struct Ear {
    task: AbortHandle,
    socket: Option<PathBuf>,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(socket) = &self.socket {
            // Whoever removed it already has done no harm.
            let _ = fs::remove_file(socket);
        }
    }
}

impl Listening {
    /// Listens at a port; gives it, where the client left it open.
    pub(crate) fn tcp(
        &mut self,
        address: &str,
        port: u16,
        posts: &mpsc::Sender<Post>,
    ) -> io::Result<u16> {
        let listeners = bind(address, port)?;
        let port = listeners.first().map_or(Ok(port), |listener| {
            listener.local_addr().map(|address| address.port())
        })?;
        let (named, posts) = (address.to_owned(), posts.clone());
        let task = tokio::spawn(async move {
            let mut tasks = JoinSet::new();
            for listener in listeners {
                tasks.spawn(accept_tcp(listener, named.clone(), port, posts.clone()));
            }
            while tasks.join_next().await.is_some() {}
        });
        let ear = Ear {
            task: task.abort_handle(),
            socket: None,
        };
        self.places
            .insert(Place::Tcp(address.to_owned(), port), ear);
        Ok(port)
    }

    /// Listens at a socket.
    pub(crate) fn unix(&mut self, path: &Path, posts: &mpsc::Sender<Post>) -> io::Result<()> {
        let mut details = Vec::new();
        details.put_bytes(path.as_os_str().as_encoded_bytes());
        details.put_bytes(b"");
        let ear = listen(path, "forwarded-streamlocal@openssh.com", details, posts)?;
        self.places.insert(Place::Unix(path.to_owned()), ear);
        Ok(())
    }

    /// Stops listening at a place; false where nobody did.
    pub(crate) fn stop(&mut self, place: &Place) -> bool {
        self.places.remove(place).is_some()
    }
}

/// A socket at which programs find the authentication agent of the client.
pub(crate) fn agent(path: &Path, posts: &mpsc::Sender<Post>) -> io::Result<Ear> {
    listen(path, "auth-agent@openssh.com", Vec::new(), posts)
}

fn listen(
    path: &Path,
    kind: &'static str,
    details: Vec<u8>,
    posts: &mpsc::Sender<Post>,
) -> io::Result<Ear> {
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    let posts = posts.clone();
    let task = tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let arrival = Arrival {
                kind,
                details: details.clone(),
                stream: Stream::Unix(stream),
            };
            if posts.send(Post::Arrived(arrival)).await.is_err() {
                return;
            }
        }
    });
    Ok(Ear {
        task: task.abort_handle(),
        socket: Some(path.to_owned()),
    })
}

/// Listeners for an address as OpenSSH reads it: empty or `*` are all, `localhost` are both loopback addresses.
fn bind(address: &str, port: u16) -> io::Result<Vec<TcpListener>> {
    let (required, also): (IpAddr, Option<IpAddr>) = match address {
        "" | "*" => (Ipv4Addr::UNSPECIFIED.into(), None),
        "localhost" => (Ipv4Addr::LOCALHOST.into(), Some(Ipv6Addr::LOCALHOST.into())),
        address => (
            address
                .parse()
                .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
            None,
        ),
    };
    let open = |address, port| {
        let listener = std::net::TcpListener::bind(SocketAddr::new(address, port))?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    let first = open(required, port)?;
    let port = first.local_addr()?.port();
    // Where the pod has no IPv6, or its port is taken, one address has to do.
    let second = also.and_then(|address| open(address, port).ok());
    Ok(std::iter::once(first).chain(second).collect())
}

async fn accept_tcp(listener: TcpListener, named: String, port: u16, posts: mpsc::Sender<Post>) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let mut details = Vec::new();
        details.put_bytes(named.as_bytes());
        details.put_u32(port.into());
        details.put_bytes(peer.ip().to_string().as_bytes());
        details.put_u32(peer.port().into());
        let arrival = Arrival {
            kind: "forwarded-tcpip",
            details,
            stream: Stream::Tcp(stream),
        };
        if posts.send(Post::Arrived(arrival)).await.is_err() {
            return;
        }
    }
}
