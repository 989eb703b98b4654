//! A worker's end of its links: lets its head in, and nobody else.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::PrivateKey;
use russh::server::{
    self, Auth, ChannelOpenHandle, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelStream, MethodKind, MethodSet};
use skiff_proto::paths;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{INACTIVE, LinkKey, PACKETS, SUBSYSTEM, WINDOW, preferred};

/// Connections at a time, those that have not shown a key yet included: a head has one, and an old one that is lost may
/// not have been missed yet.
const CONNECTIONS: usize = 16;
/// Tries of a connection to be let in: a question for the methods, as most clients begin, and one key.
const ATTEMPTS: usize = 2;
/// How long the head has to take the last answers when the agent goes.
const FAREWELL: Duration = Duration::from_millis(500);

/// Begins to listen on the pod's own address.
pub(crate) async fn listen(address: IpAddr) -> io::Result<TcpListener> {
    TcpListener::bind((address, paths::LINK_PORT)).await
}

/// What is done with the bytes of a link, until it ends.
pub(crate) type Use = Arc<dyn Fn(ChannelStream<Msg>) -> BoxFuture + Send + Sync>;
type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Lets the head in and hands its links to their use, until the agent goes.
pub(crate) async fn serve(
    listener: TcpListener,
    key: LinkKey,
    used: Use,
    mut departed: watch::Receiver<bool>,
) {
    let config = Arc::new(server::Config {
        methods: MethodSet::from([MethodKind::PublicKey].as_slice()),
        auth_rejection_time: Duration::ZERO,
        keys: vec![PrivateKey::clone(&key.host)],
        window_size: WINDOW,
        channel_buffer_size: PACKETS,
        preferred: preferred(),
        max_auth_attempts: ATTEMPTS,
        inactivity_timeout: Some(INACTIVE),
        ..server::Config::default()
    });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => {
                // One that has gone again already, or no file left for it: the head tries again.
                if let Ok((stream, _)) = accepted {
                    let gate = Gate { key: key.clone(), used: Arc::clone(&used), channel: None };
                    connections.spawn(connect(stream, Arc::clone(&config), gate));
                }
            }
            Some(_) = connections.join_next() => {}
            _ = departed.wait_for(|departed| *departed) => break,
        }
    }
    // The last answers are on their way.
    tokio::time::sleep(FAREWELL).await;
}

async fn connect(stream: TcpStream, config: Arc<server::Config>, gate: Gate) {
    // Small frames are not to wait for larger ones. A socket that cannot do so is slower, and works.
    let _ = stream.set_nodelay(true);
    // Whoever is not let in is told so by SSH itself; that a connection breaks is no news to anybody here.
    let opening = tokio::time::timeout(INACTIVE, server::run_stream(config, stream, gate));
    if let Ok(Ok(session)) = opening.await {
        let _ = session.await;
    }
}

/// What a connection may do.
struct Gate {
    key: LinkKey,
    used: Use,
    /// The channel that was opened, until it is used.
    channel: Option<Channel<Msg>>,
}

impl server::Handler for Gate {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        _user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.judge(offer.public_key))
    }

    async fn auth_publickey(
        &mut self,
        _user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.judge(key.public_key))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channel = Some(channel);
        reply.accept().await;
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let channel = self.channel.take_if(|channel| channel.id() == id);
        let Some(channel) = channel.filter(|_| name == SUBSYSTEM) else {
            return session.channel_failure(id);
        };
        let used = Arc::clone(&self.used);
        let handle = session.handle();
        tokio::spawn(async move {
            used(channel.into_stream()).await;
            // A head that is not heard any more may still hold the connection.
            let reason = russh::Disconnect::ByApplication;
            let _ = handle
                .disconnect(reason, String::new(), String::new())
                .await;
        });
        session.channel_success(id)
    }
}

impl Gate {
    fn judge(&self, key: &russh::keys::PublicKey) -> Auth {
        if self.key.is_head(key) {
            Auth::Accept
        } else {
            Auth::reject()
        }
    }
}
