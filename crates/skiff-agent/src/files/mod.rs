//! The file server of an SSH session: SFTP version 3 as OpenSSH speaks it (`sftp`, `scp`, file managers).
//!
//! A process of its own, so that a slow disk holds nobody else up; it reads a request, does it, answers. Names are
//! bytes, as the file system has them.

mod attributes;
mod extensions;
mod handles;
mod operations;

use std::io::{self, Read, Write};
use std::process::ExitCode;

use thiserror::Error;

use crate::ssh::wire::{Malformed, Reader, Writer};
use handles::Handles;

/// The longest request that is taken.
const MAX_REQUEST: usize = 256 << 10;
/// The most that one request reads or writes: with its head it fits the longest packet.
const MAX_DATA: u32 = 255 << 10;
/// Answers that wait for the next requests to be done.
const ANSWERS: usize = 256 << 10;
const VERSION: u32 = 3;

/// The file server cannot go on.
#[derive(Debug, Error)]
pub(crate) enum FilesError {
    /// The client sent no SFTP.
    #[error("a request of {0} bytes")]
    Length(usize),
    /// The client sent no SFTP.
    #[error("a request that cannot be read")]
    Malformed(#[from] Malformed),
    /// The streams broke.
    #[error("cannot talk to the client")]
    Io(#[from] io::Error),
}

/// What a request comes to.
enum Answer {
    /// Whether it was done.
    Status(u32, String),
    /// A message of this kind.
    Message(u8, Vec<u8>),
}

/// Why a request was not done.
enum Refusal {
    System(io::Error),
    /// There is nothing more to read.
    Eof,
    /// The request is not known.
    Unknown,
    Malformed,
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<rustix::io::Errno> for Refusal {
    fn from(error: rustix::io::Errno) -> Self {
        Self::System(error.into())
    }
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl Answer {
    fn done() -> Self {
        Self::Status(0, String::new())
    }

    /// The protocol's number for what went wrong; the words are the system's.
    fn refused(refusal: &Refusal) -> Self {
        let (code, text) = match refusal {
            Refusal::Eof => (1, "end of file".to_owned()),
            Refusal::System(error) => {
                let code = match error.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => 2,
                    io::ErrorKind::PermissionDenied => 3,
                    _ => 4,
                };
                (code, plain(error))
            }
            Refusal::Malformed => (5, "the request is malformed".to_owned()),
            Refusal::Unknown => (8, "the request is not supported".to_owned()),
        };
        Self::Status(code, text)
    }

    /// Appends the answer as a packet.
    fn encode(&self, id: u32, out: &mut Vec<u8>) {
        let mut packet = Vec::new();
        let body: &[u8] = match self {
            Self::Status(code, text) => {
                packet.put_u8(101);
                packet.put_u32(id);
                packet.put_u32(*code);
                packet.put_bytes(text.as_bytes());
                packet.put_bytes(b"");
                &[]
            }
            Self::Message(kind, body) => {
                packet.put_u8(*kind);
                packet.put_u32(id);
                body
            }
        };
        out.put_u32(u32::try_from(packet.len() + body.len()).unwrap_or(u32::MAX));
        out.extend_from_slice(&packet);
        out.extend_from_slice(body);
    }
}

/// The system's words, without the number that Rust puts behind them.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

/// Serves standard input until it ends.
pub(crate) fn serve() -> Result<ExitCode, FilesError> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut handles = Handles::default();
    let (mut requests, mut answers) = (Requests::new(), Vec::new());
    loop {
        while let Some(request) = requests.next()? {
            answer(request, &mut handles, &mut answers)?;
            if answers.len() >= ANSWERS {
                output.write_all(&answers)?;
                answers.clear();
            }
        }
        output.write_all(&answers)?;
        output.flush()?;
        answers.clear();
        if !requests.read(&mut input)? {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn answer(request: &[u8], handles: &mut Handles, answers: &mut Vec<u8>) -> Result<(), FilesError> {
    const INIT: u8 = 1;
    let mut reader = Reader::new(request);
    let kind = reader.u8()?;
    let id = reader.u32()?;
    if kind == INIT {
        // What stands in the place of the number is the client's version.
        extensions::version().encode(VERSION, answers);
        return Ok(());
    }
    let done = operations::perform(kind, &mut reader, handles);
    done.unwrap_or_else(|refusal| Answer::refused(&refusal))
        .encode(id, answers);
    Ok(())
}

/// Bytes that have arrived, cut into requests.
struct Requests {
    /// Twice the longest request: one that is not whole is moved to the front, and the rest of it has room behind it.
    buffer: Vec<u8>,
    taken: usize,
    filled: usize,
}

impl Requests {
    fn new() -> Self {
        Self {
            buffer: vec![0; 2 * (4 + MAX_REQUEST)],
            taken: 0,
            filled: 0,
        }
    }

    /// The next request, behind its length; None while it is not whole.
    fn next(&mut self) -> Result<Option<&[u8]>, FilesError> {
        let rest = &self.buffer[self.taken..self.filled];
        let Some((length, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if !(5..=MAX_REQUEST).contains(&length) {
            return Err(FilesError::Length(length));
        }
        let Some(request) = rest.get(..length) else {
            return Ok(None);
        };
        self.taken += 4 + length;
        Ok(Some(request))
    }

    /// Takes what has arrived; false at the end.
    fn read(&mut self, input: &mut impl Read) -> io::Result<bool> {
        self.buffer.copy_within(self.taken..self.filled, 0);
        self.filled -= self.taken;
        self.taken = 0;
        loop {
            match input.read(&mut self.buffer[self.filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                count => {
                    let count = count?;
                    self.filled += count;
                    return Ok(count > 0);
                }
            }
        }
    }
}
