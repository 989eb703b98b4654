//! SSH's packets (RFC 4253, section 6): in the clear at first, then sealed with AES-GCM. Must not know what is in them.

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};
use thiserror::Error;

/// The longest packet that is taken: what OpenSSH takes.
const MAX_PACKET: usize = 256 << 10;
/// The shortest packet: a byte of padding length, a byte of payload, 4 of padding.
const MIN_PACKET: usize = 6;
const TAG: usize = 16;
/// Room that is made for what arrives, and kept for what is sent.
const READ: usize = 64 << 10;

/// The peer sent what is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum PacketError {
    /// Its length cannot be.
    #[error("a packet of {0} bytes")]
    Length(usize),
    /// It was changed on its way, or the keys differ.
    #[error("a packet that cannot be opened")]
    Sealed,
}

/// A cipher that both sides can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cipher {
    /// `aes128-gcm@openssh.com`
    Aes128,
    /// `aes256-gcm@openssh.com`
    Aes256,
}

impl Cipher {
    /// All of them, the preferred first: its rounds are fewer.
    pub(crate) const ALL: [Self; 2] = [Self::Aes128, Self::Aes256];

    /// Its name in the protocol.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Aes128 => "aes128-gcm@openssh.com",
            Self::Aes256 => "aes256-gcm@openssh.com",
        }
    }

    /// Bytes of its key.
    pub(crate) const fn key_length(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes256 => 32,
        }
    }

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Aes128 => &AES_128_GCM,
            Self::Aes256 => &AES_256_GCM,
        }
    }
}

/// The key of one direction, and the number of its next packet.
pub(crate) struct Seal {
    key: LessSafeKey,
    nonce: [u8; 12],
}

impl Seal {
    /// A key of [`Cipher::key_length`] bytes and the first nonce.
    pub(crate) fn new(cipher: Cipher, key: &[u8], nonce: [u8; 12]) -> Self {
        let key =
            UnboundKey::new(cipher.algorithm(), key).expect("the key has its cipher's length");
        Self {
            key: LessSafeKey::new(key),
            nonce,
        }
    }

    /// Each packet's nonce is used once: its last 8 bytes count.
    fn next_nonce(&mut self) -> Nonce {
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        let (_, counter) = self.nonce.split_at_mut(4);
        for byte in counter.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
        nonce
    }
}

/// The direction from the peer: bytes that have arrived.
#[derive(Default)]
pub(crate) struct Incoming {
    arrived: Vec<u8>,
    /// What of them was taken already.
    taken: usize,
    seal: Option<Seal>,
    /// Packets that were taken.
    count: u32,
}

impl Incoming {
    /// Where bytes that arrive are appended.
    pub(crate) fn arriving(&mut self) -> &mut Vec<u8> {
        self.arrived.drain(..self.taken);
        self.taken = 0;
        // What one big packet needed is not kept for ever.
        self.arrived.shrink_to(READ);
        self.arrived.reserve(READ);
        &mut self.arrived
    }

    /// The next line, without its end; None while it is not whole.
    pub(crate) fn take_line(&mut self) -> Option<Vec<u8>> {
        let rest = &self.arrived[self.taken..];
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = rest[..end].trim_ascii_end().to_vec();
        self.taken += end + 1;
        Some(line)
    }

    /// Bytes that have arrived and were not taken.
    pub(crate) fn waiting(&self) -> usize {
        self.arrived.len() - self.taken
    }

    /// The next packet's payload; None while it has not arrived.
    pub(crate) fn take(&mut self) -> Result<Option<Vec<u8>>, PacketError> {
        let rest = &mut self.arrived[self.taken..];
        let Some((prefix, _)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let prefix = *prefix;
        let length = u32::from_be_bytes(prefix) as usize;
        if !(MIN_PACKET..=MAX_PACKET).contains(&length) {
            return Err(PacketError::Length(length));
        }
        let tag = if self.seal.is_some() { TAG } else { 0 };
        let Some(packet) = rest.get_mut(4..4 + length + tag) else {
            return Ok(None);
        };
        let plain = match &mut self.seal {
            Some(seal) => {
                let nonce = seal.next_nonce();
                let opened = seal.key.open_in_place(nonce, Aad::from(prefix), packet);
                &*opened.map_err(|_| PacketError::Sealed)?
            }
            None => &*packet,
        };
        let payload = length
            .checked_sub(usize::from(plain[0]))
            .and_then(|end| plain.get(1..end))
            .filter(|payload| !payload.is_empty())
            .ok_or(PacketError::Length(length))?
            .to_vec();
        self.taken += 4 + length + tag;
        self.count = self.count.wrapping_add(1);
        Ok(Some(payload))
    }

    /// The number of the packet that was taken last.
    pub(crate) fn last_number(&self) -> u32 {
        self.count.wrapping_sub(1)
    }

    /// From the next packet on, what arrives is sealed with this.
    pub(crate) fn open_with(&mut self, seal: Seal) {
        self.seal = Some(seal);
        self.count = 0;
    }
}

/// The direction to the peer: bytes that are to be sent.
#[derive(Default)]
pub(crate) struct Outgoing {
    bytes: Vec<u8>,
    seal: Option<Seal>,
}

impl Outgoing {
    /// From the next packet on, what is sent is sealed with this.
    pub(crate) fn seal_with(&mut self, seal: Seal) {
        self.seal = Some(seal);
    }

    /// Sends bytes that are no packet.
    pub(crate) fn send_line(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// Sends a packet.
    pub(crate) fn send(&mut self, payload: &[u8]) {
        self.send_parts(payload, &[]);
    }

    /// Sends a packet whose payload comes in two parts.
    pub(crate) fn send_parts(&mut self, head: &[u8], tail: &[u8]) {
        let length = 1 + head.len() + tail.len();
        // The length is sealed apart from the rest, and then does not count for the alignment.
        let padding = match self.seal {
            Some(_) => padding(length, 16),
            None => padding(4 + length, 8),
        };
        let start = self.bytes.len();
        let total = u32::try_from(length + padding).expect("packets are built below 256 KiB");
        self.bytes.reserve(4 + length + padding + TAG);
        self.bytes.extend_from_slice(&total.to_be_bytes());
        self.bytes
            .push(u8::try_from(padding).expect("padding is below 20"));
        self.bytes.extend_from_slice(head);
        self.bytes.extend_from_slice(tail);
        self.bytes.resize(self.bytes.len() + padding, 0);
        if let Some(seal) = &mut self.seal {
            let nonce = seal.next_nonce();
            let (prefix, packet) = self.bytes[start..].split_at_mut(4);
            let tag = seal
                .key
                .seal_in_place_separate_tag(nonce, Aad::from(prefix), packet);
            let tag = tag.expect("a packet is far shorter than what AES-GCM can seal");
            self.bytes.extend_from_slice(tag.as_ref());
        }
    }

    /// The bytes that are to be sent.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets so many bytes that were sent.
    pub(crate) fn sent(&mut self, count: usize) {
        self.bytes.drain(..count);
        if self.bytes.is_empty() {
            self.bytes.shrink_to(READ);
        }
    }
}

/// At least 4 bytes, so that the whole is a multiple of the block.
fn padding(length: usize, block: usize) -> usize {
    let padding = block - length % block;
    if padding < 4 {
        padding + block
    } else {
        padding
    }
}

#[cfg(test)]
mod tests {
    use super::{Cipher, Incoming, Outgoing, PacketError, Seal};

    fn pass(from: &mut Outgoing, to: &mut Incoming) {
        to.arriving().extend_from_slice(from.bytes());
        from.sent(from.bytes().len());
    }

    #[test]
    fn packets_arrive_in_the_clear_and_sealed() {
        let (mut one, mut other) = (Outgoing::default(), Incoming::default());
        one.send(b"hello");
        pass(&mut one, &mut other);
        assert_eq!(other.take(), Ok(Some(b"hello".to_vec())));
        for cipher in Cipher::ALL {
            let key = &[7; 32][..cipher.key_length()];
            let nonce = [0xff; 12];
            one.seal_with(Seal::new(cipher, key, nonce));
            other.open_with(Seal::new(cipher, key, nonce));
            for size in [1, 2, 15, 16, 17, 40_000] {
                one.send_parts(b"x", &vec![b'y'; size]);
                pass(&mut one, &mut other);
                let payload = other.take().expect("it opens").expect("it is there");
                assert_eq!((payload.len(), other.take()), (size + 1, Ok(None)));
            }
        }
    }

    #[test]
    fn a_changed_packet_is_refused() {
        let (mut one, mut other) = (Outgoing::default(), Incoming::default());
        one.seal_with(Seal::new(Cipher::Aes128, &[7; 16], [0; 12]));
        other.open_with(Seal::new(Cipher::Aes128, &[7; 16], [0; 12]));
        one.send(b"hello");
        let mut bytes = one.bytes().to_vec();
        bytes[9] ^= 1;
        other.arriving().extend_from_slice(&bytes);
        assert_eq!(other.take(), Err(PacketError::Sealed));
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        for length in [0, 5, u32::MAX] {
            let mut incoming = Incoming::default();
            incoming.arriving().extend_from_slice(&length.to_be_bytes());
            assert!(matches!(incoming.take(), Err(PacketError::Length(_))));
        }
        let mut incoming = Incoming::default();
        let packet = [0, 0, 0, 8, 200, 1, 1, 1, 1, 1, 1, 1];
        incoming.arriving().extend_from_slice(&packet);
        assert_eq!(incoming.take(), Err(PacketError::Length(8)));
    }
}
