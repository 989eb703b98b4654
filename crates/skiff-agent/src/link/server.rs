//! A worker's end of its links: lets its head in, and nobody else.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use skiff_proto::paths;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{HANDSHAKE, LinkKey, WELCOME};

/// Connections at a time, those that have not shown a key yet included: a head has one, and an old one that is lost may
/// not have been missed yet.
const CONNECTIONS: usize = 16;
/// How long the head has to take the last answers when the agent goes.
const FAREWELL: Duration = Duration::from_millis(500);

/// Begins to listen on the pod's own address.
pub(crate) async fn listen(address: IpAddr) -> io::Result<TcpListener> {
    TcpListener::bind((address, paths::LINK_PORT)).await
}

/// What is done with the bytes of a link, until it ends.
pub(crate) type Use = Arc<dyn Fn(TlsStream<TcpStream>) -> BoxFuture + Send + Sync>;
type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Lets the head in and hands its links to their use, until the agent goes.
pub(crate) async fn serve(
    listener: TcpListener,
    key: LinkKey,
    used: Use,
    mut departed: watch::Receiver<bool>,
) {
    let acceptor = TlsAcceptor::from(key.worker);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => {
                // One that has gone again already, or no file left for it: the head tries again.
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connect(stream, acceptor.clone(), Arc::clone(&used)));
                }
            }
            Some(_) = connections.join_next() => {}
            _ = departed.wait_for(|departed| *departed) => break,
        }
    }
    let farewell = async { while connections.join_next().await.is_some() {} };
    // Those that do not hang up in time are cut off.
    let _ = timeout(FAREWELL, farewell).await;
}

async fn connect(stream: TcpStream, acceptor: TlsAcceptor, used: Use) {
    // Small frames are not to wait for larger ones. A socket that cannot do so is slower, and works.
    let _ = stream.set_nodelay(true);
    let welcomed = timeout(HANDSHAKE, async {
        let mut link = acceptor.accept(stream).await?;
        link.write_u8(WELCOME).await?;
        link.flush().await?;
        io::Result::Ok(link)
    });
    // Whoever is not let in is told so by TLS itself; that a connection breaks is no news to anybody here.
    if let Ok(Ok(link)) = welcomed.await {
        used(link).await;
    }
}
