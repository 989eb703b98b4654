//! The encrypted links between the nodes of a cluster: TLS with the cluster's own keys, over which frames go.
//!
//! A worker listens, the head dials. Both know each other by keys that only who has the cluster's key can make. Must not
//! know what goes over a link.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use skiff_proto::PROTOCOL_VERSION;
use skiff_wire::{Patience, SessionError};
use thiserror::Error;

mod client;
mod keys;
mod server;
#[cfg(test)]
mod tests;

pub(crate) use client::dial;
pub(crate) use keys::{KeyError, LinkKey};
pub(crate) use server::{Use, listen, serve};

/// What a worker says first to who was let in: TLS tells a head that is not only when it reads.
const WELCOME: u8 = b'+';
/// How long either end may take to show its key.
const HANDSHAKE: Duration = Duration::from_secs(Patience::LINK.silence.as_secs() + 3);

/// There is no link to a worker.
#[derive(Debug, Error)]
pub(crate) enum DialError {
    /// Nobody listens there.
    #[error("nobody answers at {0}: its agent does not run")]
    Refused(IpAddr),
    /// The network does not lead there, or the connection broke at once.
    #[error("cannot connect to {0}: {1}")]
    Connect(IpAddr, io::Error),
    /// Nothing came back.
    #[error("nobody answers at {0} within {1} s: its machine or its network is down")]
    Silent(IpAddr, u64),
    /// Whoever listens there has another key than a worker of this cluster.
    #[error("{0} belongs to another cluster: its key is another one")]
    Stranger(IpAddr),
    /// The worker does not take the head's key.
    #[error("{0} refuses this cluster's key: it belongs to another cluster")]
    NotLetIn(IpAddr),
    /// It does not speak TLS as it should.
    #[error("{0} does not speak as a worker does: {1}")]
    Tls(IpAddr, rustls::Error),
    /// Their versions are too far apart.
    #[error(
        "its agent speaks protocol {0}, the head's speaks {PROTOCOL_VERSION}: take the cluster down and launch it again"
    )]
    Version(u16),
    /// The greeting over the link failed.
    #[error(transparent)]
    Session(SessionError),
}

impl DialError {
    /// Whether it is what an agent that has just ended looks like.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}
