//! The key exchange (RFC 4253, section 7): who this node is, and with what packets are sealed. A state machine without IO.

use ring::digest::{Context, SHA256};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};
use thiserror::Error;

use super::packets::{Cipher, Seal};
use super::secret::Method;
use super::wire::{Malformed, Reader, Writer};

/// `SSH_MSG_KEXINIT`
pub(crate) const KEXINIT: u8 = 20;
/// `SSH_MSG_NEWKEYS`
pub(crate) const NEWKEYS: u8 = 21;
/// `SSH_MSG_KEX_ECDH_INIT`
pub(crate) const ECDH_INIT: u8 = 30;
const ECDH_REPLY: u8 = 31;

const HOST_KEY: &str = "ssh-ed25519";
/// Says that packets out of their order end the connection.
const STRICT: &str = "kex-strict-s-v00@openssh.com";
/// Never used, as the ciphers authenticate by themselves; but a list must not be empty.
const MACS: &str = "hmac-sha2-256";

/// Why no keys were agreed on.
#[derive(Debug, Error)]
pub(crate) enum ExchangeError {
    /// A message cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A message at a time when it may not be.
    #[error("a message of the key exchange out of its order")]
    Order,
    /// There is nothing that both sides know.
    #[error("no {0} in common: this server has {1}")]
    Nothing(&'static str, String),
    /// The client's half of the key is none.
    #[error("the client's key is invalid")]
    Key,
    /// The system has no random bytes.
    #[error("no random bytes")]
    Random,
}

/// The key by which this node shows who it is.
pub(crate) struct HostKey(Ed25519KeyPair);

impl HostKey {
    /// The key that grows from these 32 bytes.
    pub(crate) fn from_seed(seed: &[u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed);
        Self(pair.expect("any 32 bytes are a seed"))
    }

    /// A key that nobody knows beforehand.
    pub(crate) fn random() -> Result<Self, ExchangeError> {
        let mut seed = [0; 32];
        let filled = SystemRandom::new().fill(&mut seed);
        filled.map_err(|_| ExchangeError::Random)?;
        Ok(Self::from_seed(&seed))
    }

    fn blob(&self) -> Vec<u8> {
        blob(self.0.public_key().as_ref())
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        blob(self.0.sign(message).as_ref())
    }
}

fn blob(bytes: &[u8]) -> Vec<u8> {
    let mut blob = Vec::new();
    blob.put_bytes(HOST_KEY.as_bytes());
    blob.put_bytes(bytes);
    blob
}

/// What both sides have said about what they can.
struct Agreed {
    ours: Vec<u8>,
    theirs: Vec<u8>,
    method: Method,
    incoming: Cipher,
    outgoing: Cipher,
    /// The client has sent a guess that turned out wrong.
    skip: bool,
}

enum State {
    Idle,
    Offered(Vec<u8>),
    Agreed(Agreed),
    Answered(Box<Seal>),
}

/// The server's answer to the client's half of the key.
pub(crate) struct Answer {
    /// The message, to be sent before `NEWKEYS`.
    pub(crate) reply: Vec<u8>,
    /// With what everything behind `NEWKEYS` is sealed.
    pub(crate) seal: Seal,
}

/// One connection's key exchanges, one after the other.
pub(crate) struct Exchange {
    client_version: Vec<u8>,
    server_version: &'static str,
    session_id: Option<Vec<u8>>,
    state: State,
}

impl Exchange {
    /// The first exchange of a connection, and the message that opens it.
    pub(crate) fn open(
        client_version: Vec<u8>,
        server_version: &'static str,
    ) -> Result<(Self, Vec<u8>), ExchangeError> {
        let ours = offer()?;
        let exchange = Self {
            client_version,
            server_version,
            session_id: None,
            state: State::Offered(ours.clone()),
        };
        Ok((exchange, ours))
    }

    /// Whether keys are being agreed on just now.
    pub(crate) fn is_running(&self) -> bool {
        !matches!(self.state, State::Idle)
    }

    /// Whether the connection has its first keys.
    pub(crate) fn has_keys(&self) -> bool {
        self.session_id.is_some()
    }

    /// The client's offer; gives this side's, where it has not been sent yet.
    pub(crate) fn offered(&mut self, theirs: Vec<u8>) -> Result<Option<Vec<u8>>, ExchangeError> {
        let (ours, fresh) = match std::mem::replace(&mut self.state, State::Idle) {
            State::Offered(ours) => (ours, false),
            State::Idle => (offer()?, true),
            _ => return Err(ExchangeError::Order),
        };
        let answer = fresh.then(|| ours.clone());
        self.state = State::Agreed(Agreed::new(ours, theirs)?);
        Ok(answer)
    }

    /// The client's half of the key; gives the answer, or None where the message was a wrong guess.
    pub(crate) fn begun(
        &mut self,
        payload: &[u8],
        host: &HostKey,
    ) -> Result<Option<Answer>, ExchangeError> {
        let State::Agreed(mut agreed) = std::mem::replace(&mut self.state, State::Idle) else {
            return Err(ExchangeError::Order);
        };
        if std::mem::take(&mut agreed.skip) {
            self.state = State::Agreed(agreed);
            return Ok(None);
        }
        let theirs = Reader::new(&payload[1..]).bytes()?;
        let secret = agreed.method.agree(theirs)?;

        let mut hashed = Vec::new();
        hashed.put_bytes(&self.client_version);
        hashed.put_bytes(self.server_version.as_bytes());
        hashed.put_bytes(&agreed.theirs);
        hashed.put_bytes(&agreed.ours);
        let host_blob = host.blob();
        hashed.put_bytes(&host_blob);
        hashed.put_bytes(theirs);
        hashed.put_bytes(&secret.half);
        hashed.extend_from_slice(&secret.encoded);
        let hash = digest(&[&hashed]);

        let mut reply = vec![ECDH_REPLY];
        reply.put_bytes(&host_blob);
        reply.put_bytes(&secret.half);
        reply.put_bytes(&host.sign(&hash));
        let session = self.session_id.get_or_insert_with(|| hash.clone());
        let seal =
            |cipher, nonce, key| seal(cipher, &[&secret.encoded, &hash], nonce, key, session);
        self.state = State::Answered(Box::new(seal(agreed.incoming, b'A', b'C')));
        let seal = seal(agreed.outgoing, b'B', b'D');
        Ok(Some(Answer { reply, seal }))
    }

    /// The client uses the new keys from here on: with this its packets are opened.
    pub(crate) fn taken(&mut self) -> Result<Seal, ExchangeError> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Answered(seal) => Ok(*seal),
            _ => Err(ExchangeError::Order),
        }
    }
}

impl Agreed {
    fn new(ours: Vec<u8>, theirs: Vec<u8>) -> Result<Self, ExchangeError> {
        let mut reader = Reader::new(&theirs);
        reader.take(17)?;
        let mut list = || {
            reader
                .text()
                .map(|list| list.split(',').collect::<Vec<_>>())
        };
        let (exchanges, keys) = (list()?, list()?);
        let (incoming, outgoing) = (list()?, list()?);
        let _macs = (list()?, list()?);
        let compressions = [list()?, list()?];
        let _languages = (list()?, list()?);
        let guesses = reader.bool()?;
        let names = Method::ALL.map(|(name, _)| name);
        let (_, method) = Method::ALL[choose("key exchange", &exchanges, &names)?];
        choose("host key", &keys, &[HOST_KEY])?;
        for compression in &compressions {
            choose("compression", compression, &["none"])?;
        }
        // Only what both sides prefer may be guessed.
        let is_right = exchanges.first() == names.first() && keys.first() == Some(&HOST_KEY);
        let names = Cipher::ALL.map(Cipher::name);
        let cipher = |list: &[&str]| choose("cipher", list, &names).map(|at| Cipher::ALL[at]);
        let (incoming, outgoing) = (cipher(&incoming)?, cipher(&outgoing)?);
        Ok(Self {
            ours,
            method,
            incoming,
            outgoing,
            skip: guesses && !is_right,
            theirs,
        })
    }
}

/// The client's first choice that is known; its place among those that are.
fn choose(what: &'static str, theirs: &[&str], known: &[&str]) -> Result<usize, ExchangeError> {
    theirs
        .iter()
        .find_map(|name| known.iter().position(|known| known == name))
        .ok_or_else(|| ExchangeError::Nothing(what, known.join(", ")))
}

fn offer() -> Result<Vec<u8>, ExchangeError> {
    let mut cookie = [0; 16];
    let filled = SystemRandom::new().fill(&mut cookie);
    filled.map_err(|_| ExchangeError::Random)?;
    let mut offer = vec![KEXINIT];
    offer.extend_from_slice(&cookie);
    let methods = Method::ALL.map(|(name, _)| name).join(",");
    let exchanges = format!("{methods},{STRICT}");
    let ciphers = Cipher::ALL.map(Cipher::name).join(",");
    for list in [
        &exchanges, HOST_KEY, &ciphers, &ciphers, MACS, MACS, "none", "none", "", "",
    ] {
        offer.put_bytes(list.as_bytes());
    }
    offer.put_u8(0);
    offer.put_u32(0);
    Ok(offer)
}

fn seal(cipher: Cipher, shared: &[&[u8]; 2], nonce: u8, key: u8, session: &[u8]) -> Seal {
    let derive = |letter: u8| digest(&[shared[0], shared[1], &[letter], session]);
    let mut first = [0; 12];
    first.copy_from_slice(&derive(nonce)[..12]);
    Seal::new(cipher, &derive(key)[..cipher.key_length()], first)
}

/// The SHA-256 of some bytes in several parts.
pub(crate) fn digest(parts: &[&[u8]]) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}
