//! The head's end of a link.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use russh::ChannelStream;
use russh::client::{self, Handle, Msg};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use skiff_proto::paths;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::{DialError, INACTIVE, LinkKey, PACKETS, SUBSYSTEM, USER, WINDOW, preferred};

/// Connects to the worker at this address and makes sure that it is one of this cluster. Sets no limit to the time.
pub(crate) async fn dial(address: IpAddr, key: &LinkKey) -> Result<Stream, DialError> {
    let connected = TcpStream::connect((address, paths::LINK_PORT)).await;
    let stream = connected.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => DialError::Refused(address),
        _ => DialError::Connect(address, error),
    })?;
    // Small frames are not to wait for larger ones. A socket that cannot do so is slower, and works.
    let _ = stream.set_nodelay(true);
    let config = client::Config {
        window_size: WINDOW,
        channel_buffer_size: PACKETS,
        preferred: preferred(),
        inactivity_timeout: Some(INACTIVE),
        ..client::Config::default()
    };
    let ssh = |error| match error {
        russh::Error::UnknownKey => DialError::Stranger(address),
        error => DialError::Ssh(address, error),
    };
    let worker = Worker(key.clone());
    let mut handle = client::connect_stream(Arc::new(config), stream, worker)
        .await
        .map_err(ssh)?;
    let own = PrivateKeyWithHashAlg::new(Arc::clone(&key.head), None);
    let let_in = handle
        .authenticate_publickey(USER, own)
        .await
        .map_err(ssh)?;
    if !let_in.success() {
        return Err(DialError::NotLetIn(address));
    }
    let channel = handle.channel_open_session().await.map_err(ssh)?;
    channel
        .request_subsystem(false, SUBSYSTEM)
        .await
        .map_err(ssh)?;
    Ok(Stream {
        channel: channel.into_stream(),
        _handle: handle,
    })
}

/// Knows a worker by its host key.
struct Worker(LinkKey);

impl client::Handler for Worker {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        Ok(match key {
            PublicKeyOrCertificate::PublicKey { key, .. } => self.0.is_host(key),
            PublicKeyOrCertificate::Certificate(_) => false,
        })
    }
}

/// The bytes of a link. It is closed when this is dropped.
pub(crate) struct Stream {
    channel: ChannelStream<Msg>,
    _handle: Handle<Worker>,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.channel).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.channel).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.channel).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.channel).poll_shutdown(cx)
    }
}
