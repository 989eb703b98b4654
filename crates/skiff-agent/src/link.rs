//! The encrypted links between the nodes of a cluster: SSH with the cluster's own keys, one subsystem that carries frames.
//!
//! A worker listens, the head dials. Both know each other by keys that only who has the cluster's key can make. Must not
//! know what goes over a link.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::keys::{PrivateKey, PublicKey};
use russh::{Preferred, kex};
use skiff_proto::{ClusterKey, PROTOCOL_VERSION, paths};
use skiff_wire::{Patience, SessionError};
use thiserror::Error;

use crate::layout::Layout;

mod client;
mod server;
#[cfg(test)]
mod tests;

pub(crate) use client::dial;
pub(crate) use server::{Use, listen, serve};

/// The name of the one subsystem.
const SUBSYSTEM: &str = "skiff";
/// The name under which the head logs in: it is let in by its key alone.
const USER: &str = "head";
/// Bytes that may be on their way without having been read, for all of a link's requests together.
const WINDOW: u32 = 1 << 20;
/// Packets that wait to be read: with the largest, as much as the window.
const PACKETS: usize = 32;
/// A connection that is silent for so long is closed. Frames have a shorter patience; this is for what comes before them.
const INACTIVE: Duration = Duration::from_secs(Patience::LINK.silence.as_secs() + 3);

/// The two keys of a cluster's links.
#[derive(Clone, Debug)]
pub(crate) struct LinkKey {
    /// By which a worker shows that it is one.
    host: Arc<PrivateKey>,
    /// By which the head does.
    head: Arc<PrivateKey>,
}

/// The pod's key of the cluster is of no use.
#[derive(Debug, Error)]
pub(crate) enum KeyError {
    /// The file cannot be read.
    #[error("cannot read it")]
    Read(#[source] io::Error),
    /// It holds something else.
    #[error("it does not hold 64 hex digits")]
    Malformed,
}

impl LinkKey {
    /// The keys of the cluster that this pod belongs to; None where the pod has no key.
    pub(crate) fn read(layout: &Layout) -> Result<Option<Self>, KeyError> {
        match fs::read_to_string(layout.at(paths::CLUSTER_KEY)) {
            Ok(text) => {
                let key = ClusterKey::parse(&text).ok_or(KeyError::Malformed)?;
                Ok(Some(Self::new(&key)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(KeyError::Read(error)),
        }
    }

    /// The keys that are made of a cluster's key.
    pub(crate) fn new(key: &ClusterKey) -> Self {
        let from_seed = |seed: [u8; 32]| {
            let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&seed));
            let key = PrivateKey::new(pair, "").expect("a key that is not encrypted");
            Arc::new(key)
        };
        Self {
            host: from_seed(key.host_seed()),
            head: from_seed(key.link_seed()),
        }
    }

    fn is_host(&self, key: &PublicKey) -> bool {
        self.host.public_key().key_data() == key.key_data()
    }

    fn is_head(&self, key: &PublicKey) -> bool {
        self.head.public_key().key_data() == key.key_data()
    }
}

/// Both ends are Skiff's: one good choice of each kind is enough.
fn preferred() -> Preferred {
    Preferred {
        kex: vec![
            kex::CURVE25519,
            kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
            kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
        ]
        .into(),
        cipher: vec![russh::cipher::AES_256_GCM, russh::cipher::CHACHA20_POLY1305].into(),
        ..Preferred::DEFAULT
    }
}

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
    /// Whoever listens there has another host key.
    #[error("{0} belongs to another cluster: its key is another one")]
    Stranger(IpAddr),
    /// The worker does not take the head's key.
    #[error("{0} refuses this cluster's key: it belongs to another cluster")]
    NotLetIn(IpAddr),
    /// It does not speak SSH as it should.
    #[error("{0} does not speak as a worker does: {1}")]
    Ssh(IpAddr, russh::Error),
    /// Its agent was made at another time than the head's.
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
