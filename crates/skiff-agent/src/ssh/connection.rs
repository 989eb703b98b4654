//! One client's connection (RFC 4252 and 4254): its packets in their order, its channels side by side.
//!
//! One task owns the connection and never waits for a channel: what channels read is queued within their windows, what
//! they write comes in through one short queue that is looked at only while the client takes it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::Host;
use super::channel::Post;
use super::channels::Channels;
use super::exchange::{ECDH_INIT, Exchange, ExchangeError, KEXINIT, NEWKEYS};
use super::listening::Listening;
use super::packets::{Incoming, Outgoing, PacketError};
use super::wire::{Malformed, Reader, Writer};

const VERSION: &str = concat!("SSH-2.0-Skiff_", env!("CARGO_PKG_VERSION"));
/// The longest first line of a client, by RFC 4253.
const LINE: usize = 255;
/// How long a client has from its connection to its login.
const LOGIN: Duration = Duration::from_secs(30);
/// After so long a silence the client is asked whether it is there.
const ASK: Duration = Duration::from_secs(30);
/// After so long a silence the client is gone: its way may have broken without a word.
const SILENCE: Duration = Duration::from_mins(5);
/// Bytes for the client above which channels wait.
const FULL: usize = 256 << 10;
/// Bytes for the client above which nothing more is read of it: it asks faster than it takes the answers.
const OVERFULL: usize = 1 << 20;
/// What channels have said and the connection has not looked at yet.
const POSTS: usize = 8;

const DISCONNECT: u8 = 1;
const UNIMPLEMENTED: u8 = 3;
const SERVICE_REQUEST: u8 = 5;
const SERVICE_ACCEPT: u8 = 6;
const USERAUTH_REQUEST: u8 = 50;
const USERAUTH_SUCCESS: u8 = 52;
const GLOBAL_REQUEST: u8 = 80;
const REQUEST_SUCCESS: u8 = 81;
const REQUEST_FAILURE: u8 = 82;

/// Why a connection ended.
#[derive(Debug, Error)]
pub(crate) enum ConnectionError {
    /// The client has gone, with or without a word.
    #[error("the client has gone")]
    Gone,
    /// The stream broke.
    #[error("the connection broke")]
    Broken(#[from] io::Error),
    /// The client does not speak SSH 2.
    #[error("the client does not speak SSH 2")]
    Version,
    /// A packet that is none.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// No keys were agreed on.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// A message that cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A message that may not be sent.
    #[error("{0}")]
    Protocol(&'static str),
    /// Nothing came for too long.
    #[error("the client is silent")]
    Silent,
}

/// One client's connection.
pub(crate) struct Connection {
    pub(crate) host: Arc<Host>,
    incoming: Incoming,
    pub(crate) outgoing: Outgoing,
    exchange: Exchange,
    is_logged_in: bool,
    pub(crate) channels: Channels,
    pub(crate) listening: Listening,
    pub(crate) posts: mpsc::Sender<Post>,
}

/// Serves one client until it goes or breaks the protocol.
pub(crate) async fn serve(mut stream: UnixStream, host: Arc<Host>) {
    let Ok(Ok(mut connection)) = timeout(LOGIN, Connection::open(&mut stream, host)).await else {
        return;
    };
    let (posts, inbox) = mpsc::channel(POSTS);
    connection.posts = posts;
    match connection.run(&mut stream, inbox).await {
        Err(ConnectionError::Gone | ConnectionError::Broken(_)) | Ok(()) => {}
        Err(error) => connection.say_goodbye(stream, &error).await,
    }
}

impl Connection {
    /// Exchanges the first lines and offers to agree on keys.
    async fn open(stream: &mut UnixStream, host: Arc<Host>) -> Result<Self, ConnectionError> {
        let (mut incoming, mut outgoing) = (Incoming::default(), Outgoing::default());
        outgoing.send_line(VERSION.as_bytes());
        stream.write_all(outgoing.bytes()).await?;
        outgoing.sent(outgoing.bytes().len());
        let line = loop {
            if let Some(line) = incoming.take_line() {
                break line;
            }
            let read = stream.read_buf(incoming.arriving()).await?;
            if read == 0 || incoming.waiting() > (64 << 10) {
                return Err(ConnectionError::Gone);
            }
        };
        if !line.starts_with(b"SSH-2.0-") || line.len() > LINE {
            return Err(ConnectionError::Version);
        }
        let (exchange, offer) = Exchange::open(line, VERSION)?;
        outgoing.send(&offer);
        Ok(Self {
            host,
            incoming,
            outgoing,
            exchange,
            is_logged_in: false,
            channels: Channels::default(),
            listening: Listening::default(),
            posts: mpsc::channel(1).0,
        })
    }

    async fn run(
        &mut self,
        stream: &mut UnixStream,
        mut inbox: mpsc::Receiver<Post>,
    ) -> Result<(), ConnectionError> {
        let (mut reader, mut writer) = stream.split();
        let mut heard = Instant::now();
        let opened = heard;
        let mut clock = tokio::time::interval_at(heard + ASK, ASK);
        self.take_packets()?;
        loop {
            let waiting = self.outgoing.bytes().len();
            let is_open = waiting < FULL && !self.exchange.is_running();
            tokio::select! {
                read = reader.read_buf(self.incoming.arriving()), if waiting < OVERFULL => {
                    if read? == 0 {
                        return Err(ConnectionError::Gone);
                    }
                    heard = Instant::now();
                    self.take_packets()?;
                }
                written = writer.write(self.outgoing.bytes()), if waiting > 0 => {
                    self.outgoing.sent(written?);
                }
                Some(post) = inbox.recv(), if is_open => {
                    self.take_post(post);
                    while self.outgoing.bytes().len() < FULL && let Ok(post) = inbox.try_recv() {
                        self.take_post(post);
                    }
                }
                now = clock.tick() => {
                    if now - heard >= SILENCE || (!self.is_logged_in && now - opened >= LOGIN) {
                        return Err(ConnectionError::Silent);
                    }
                    if now - heard >= ASK && self.is_logged_in && !self.exchange.is_running() {
                        self.ask_for_life();
                    }
                }
            }
        }
    }

    /// A request that no client knows, and every client answers.
    fn ask_for_life(&mut self) {
        let mut message = vec![GLOBAL_REQUEST];
        message.put_bytes(b"keepalive@openssh.com");
        message.put_u8(1);
        self.outgoing.send(&message);
    }

    fn take_packets(&mut self) -> Result<(), ConnectionError> {
        while let Some(payload) = self.incoming.take()? {
            self.take_message(payload)?;
        }
        Ok(())
    }

    fn take_message(&mut self, payload: Vec<u8>) -> Result<(), ConnectionError> {
        let kind = payload[0];
        match kind {
            DISCONNECT => Err(ConnectionError::Gone),
            KEXINIT => {
                if let Some(offer) = self.exchange.offered(payload)? {
                    self.outgoing.send(&offer);
                }
                Ok(())
            }
            ECDH_INIT => {
                if let Some(answer) = self.exchange.begun(&payload, &self.host.key)? {
                    self.outgoing.send(&answer.reply);
                    self.outgoing.send(&[NEWKEYS]);
                    self.outgoing.seal_with(answer.seal);
                }
                Ok(())
            }
            NEWKEYS => {
                self.incoming.open_with(self.exchange.taken()?);
                Ok(())
            }
            // Before there are keys anything else could be somebody else's.
            _ if !self.exchange.has_keys() => {
                Err(ConnectionError::Protocol("a message before there are keys"))
            }
            // Ignore, unimplemented, debug.
            2..=4 => Ok(()),
            SERVICE_REQUEST | USERAUTH_REQUEST => self.log_in(&payload),
            _ if !self.is_logged_in => Err(ConnectionError::Protocol("a message before the login")),
            GLOBAL_REQUEST => self.take_global(&payload),
            // The answers to being asked for life.
            REQUEST_SUCCESS | REQUEST_FAILURE => Ok(()),
            90..=100 => self.take_for_channel(kind, payload),
            _ => {
                let mut message = vec![UNIMPLEMENTED];
                message.put_u32(self.incoming.last_number());
                self.outgoing.send(&message);
                Ok(())
            }
        }
    }

    /// Whoever gets here has been let in already, by whoever let him into the container: any method will do.
    fn log_in(&mut self, payload: &[u8]) -> Result<(), ConnectionError> {
        let mut reader = Reader::new(payload);
        if reader.u8()? == SERVICE_REQUEST {
            let service = reader.bytes()?;
            if service != b"ssh-userauth" {
                return Err(ConnectionError::Protocol("a service that there is not"));
            }
            let mut accept = vec![SERVICE_ACCEPT];
            accept.put_bytes(service);
            self.outgoing.send(&accept);
        } else if !self.is_logged_in {
            let (_user, service) = (reader.bytes()?, reader.bytes()?);
            if service != b"ssh-connection" {
                return Err(ConnectionError::Protocol("a service that there is not"));
            }
            self.is_logged_in = true;
            self.outgoing.send(&[USERAUTH_SUCCESS]);
        }
        Ok(())
    }

    /// Tells the client why, if it listens.
    async fn say_goodbye(&mut self, mut stream: UnixStream, error: &ConnectionError) {
        let mut message = vec![DISCONNECT];
        message.put_u32(2);
        message.put_bytes(error.to_string().as_bytes());
        message.put_bytes(b"");
        self.outgoing.send(&message);
        let _ = timeout(
            Duration::from_secs(1),
            stream.write_all(self.outgoing.bytes()),
        )
        .await;
    }
}
