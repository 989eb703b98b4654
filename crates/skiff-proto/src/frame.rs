//! Frames: a length, a kind, a request id, a payload.
//!
//! Layout: `u32` little-endian length of what follows, `u8` kind, `u32` little-endian id, payload.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::{Hello, Request, Response};

/// The largest frame, header included, that a peer accepts (1 MiB).
pub const MAX_FRAME: usize = 1 << 20;

/// Bytes of kind and id.
const HEAD: usize = 5;

/// One unit of the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The first frame of each side.
    Hello(Hello),
    /// A client's request.
    Request(u32, Request),
    /// The agent's answer to the request of this id; a log has several.
    Response(u32, Response),
    /// Bytes of the upload or log of this id.
    Data(u32, Vec<u8>),
    /// Bytes of this id that are compressed with zstd: how many they are unpacked, which is what counts for credit
    /// and is [`Frame::CHUNK`] at most, and the compressed bytes.
    Packed(u32, u32, Vec<u8>),
    /// No more data for this id from this side.
    End(u32),
    /// The receiver of this id's data has consumed so many more bytes: the sender may have at most
    /// [`Frame::WINDOW`] bytes on the way.
    Credit(u32, u32),
    /// The client no longer wants this id's answer.
    Cancel(u32),
    /// Are you there?
    Ping,
    /// Yes.
    Pong,
}

/// A peer sent something that is not this protocol.
#[derive(Debug, Error)]
pub enum FrameError {
    /// The length is beyond [`MAX_FRAME`] or below the header's.
    #[error("a frame of {0} bytes is not possible")]
    Length(usize),
    /// The kind is not known.
    #[error("unknown frame kind {0}")]
    Kind(u8),
    /// A request that this build does not know, or a malformed one. The frame is consumed: the
    /// connection can go on, with the answer `Unsupported` to this id.
    #[error("request {id} is not known")]
    Request {
        /// The request's id.
        id: u32,
        /// Why it could not be read.
        #[source]
        source: serde_json::Error,
    },
    /// The payload of this kind of frame is not what it must be.
    #[error("malformed {0} frame")]
    Payload(&'static str, #[source] Option<serde_json::Error>),
}

impl Frame {
    /// Bytes of data that may be on the way for one id without credit.
    pub const WINDOW: u32 = 1 << 20;
    /// The largest payload of a data frame that Skiff sends.
    pub const CHUNK: usize = 64 << 10;

    const HELLO: u8 = 1;
    const REQUEST: u8 = 2;
    const RESPONSE: u8 = 3;
    const DATA: u8 = 4;
    const END: u8 = 5;
    const CREDIT: u8 = 6;
    const CANCEL: u8 = 7;
    const PING: u8 = 8;
    const PONG: u8 = 9;
    const PACKED: u8 = 10;

    /// The frame's bytes, appended to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4 + HEAD]);
        let (kind, id) = match self {
            Self::Hello(hello) => (Self::HELLO, json(out, 0, hello)),
            Self::Request(id, request) => (Self::REQUEST, json(out, *id, request)),
            Self::Response(id, response) => (Self::RESPONSE, json(out, *id, response)),
            Self::Data(id, bytes) => {
                out.extend_from_slice(bytes);
                (Self::DATA, *id)
            }
            Self::Packed(id, size, bytes) => {
                out.extend_from_slice(&size.to_le_bytes());
                out.extend_from_slice(bytes);
                (Self::PACKED, *id)
            }
            Self::End(id) => (Self::END, *id),
            Self::Credit(id, bytes) => {
                out.extend_from_slice(&bytes.to_le_bytes());
                (Self::CREDIT, *id)
            }
            Self::Cancel(id) => (Self::CANCEL, *id),
            Self::Ping => (Self::PING, 0),
            Self::Pong => (Self::PONG, 0),
        };
        let length = u32::try_from(out.len() - start - 4).expect("a frame is far below 4 GiB");
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        out[start + 4] = kind;
        out[start + 5..start + 9].copy_from_slice(&id.to_le_bytes());
    }

    fn decode(kind: u8, id: u32, payload: &[u8]) -> Result<Self, FrameError> {
        Ok(match kind {
            Self::HELLO => Self::Hello(parse("hello", payload)?),
            Self::REQUEST => Self::Request(
                id,
                serde_json::from_slice(payload)
                    .map_err(|source| FrameError::Request { id, source })?,
            ),
            Self::RESPONSE => Self::Response(id, parse("response", payload)?),
            Self::DATA => Self::Data(id, payload.to_vec()),
            Self::PACKED => {
                let malformed = || FrameError::Payload("packed", None);
                let (size, bytes) = payload.split_first_chunk().ok_or_else(malformed)?;
                let size = u32::from_le_bytes(*size);
                // A few bytes must not become many in the receiver's memory.
                if size as usize > Self::CHUNK {
                    return Err(malformed());
                }
                Self::Packed(id, size, bytes.to_vec())
            }
            Self::END => Self::End(id),
            Self::CREDIT => {
                let bytes = payload
                    .try_into()
                    .map_err(|_| FrameError::Payload("credit", None))?;
                Self::Credit(id, u32::from_le_bytes(bytes))
            }
            Self::CANCEL => Self::Cancel(id),
            Self::PING => Self::Ping,
            Self::PONG => Self::Pong,
            other => return Err(FrameError::Kind(other)),
        })
    }
}

fn json<T: Serialize>(out: &mut Vec<u8>, id: u32, value: &T) -> u32 {
    serde_json::to_writer(out, value).expect("messages are plain data and a Vec takes every write");
    id
}

fn parse<T: DeserializeOwned>(what: &'static str, payload: &[u8]) -> Result<T, FrameError> {
    serde_json::from_slice(payload).map_err(|source| FrameError::Payload(what, Some(source)))
}

/// Turns arriving bytes into frames, however they are cut.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// How much of `buffer` has been given out already.
    taken: usize,
}

impl Decoder {
    /// Takes in what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if it has arrived.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let rest = &self.buffer[self.taken..];
        let Some((length, rest)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length) as usize;
        if !(HEAD..=MAX_FRAME).contains(&length) {
            return Err(FrameError::Length(length));
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let id = u32::from_le_bytes([body[1], body[2], body[3], body[4]]);
        self.taken += 4 + length;
        Frame::decode(body[0], id, &body[HEAD..]).map(Some)
    }

    /// Whether a frame has begun to arrive and is not whole.
    pub fn is_midway(&self) -> bool {
        self.taken < self.buffer.len()
    }
}
