//! The asking side of the protocol: one conversation with an agent over any byte stream.
//!
//! The CLI holds one through `pods/exec`, the head's agent one with each worker's through an encrypted link. Must not
//! know how the stream came to be, nor what is asked over it.

mod packed;
mod session;

pub use packed::{Packer, unpacked};
pub use session::{Call, Ended, Patience, Session, SessionError};
