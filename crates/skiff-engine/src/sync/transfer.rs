//! One sync over one connection: the manifest, what the agent needs, and that.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use skiff_proto::tree::{ContentHead, EntryKind, Need, WINDOW_LOG};
use skiff_proto::{Frame, Request, Response};
use skiff_wire::{Call, SessionError};
use tokio::sync::mpsc;

use super::TELL_EVERY;
use super::tree::{Found, LEVEL, Trees};
use crate::connect::{AgentError, Connection};
use crate::{Event, Reporter};

/// Chunks read ahead of the network: half a megabyte.
const AHEAD: usize = 8;

/// Syncs trees and returns once they are at their places on all nodes; gives the bytes of the contents that were lacking.
/// `least` is the least that was lacking so far.
pub(super) async fn send(
    connection: &Connection,
    name: &str,
    trees: &Arc<Trees>,
    reporter: &dyn Reporter,
    least: &mut Option<u64>,
) -> Result<u64, AgentError> {
    let failed = |source| Connection::failed(connection.pod(), source);
    let request = Request::Sync {
        sync: name.to_owned(),
        roots: trees.roots.clone(),
        manifest: trees.manifest.len() as u64,
    };
    let mut channel = Channel {
        call: connection.start(request).await?,
        credit: Frame::WINDOW as usize,
    };
    for chunk in trees.manifest.chunks(Frame::CHUNK) {
        channel.send(chunk.to_vec()).await.map_err(failed)?;
    }
    let needs = channel.needs().await.map_err(failed)?;
    let lacking = lacking(trees, &needs).ok_or_else(|| failed(SessionError::Unexpected))?;
    *least = Some(least.map_or(lacking, |least| least.min(lacking)));

    let read = Arc::new(AtomicU64::new(0));
    let (sender, mut chunks) = mpsc::channel(AHEAD);
    let packing = {
        let (trees, read) = (Arc::clone(trees), Arc::clone(&read));
        tokio::task::spawn_blocking(move || pack(&trees.found, &needs, &read, sender))
    };
    let mut told = Instant::now();
    while let Some(chunk) = chunks.recv().await {
        channel.send(chunk).await.map_err(failed)?;
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            reporter.event(Event::Syncing {
                sent: read.load(Ordering::Relaxed),
                total: lacking,
            });
        }
    }
    // A file that cannot be read any more arrives as zeros, and the agent says that it has changed.
    packing
        .await
        .expect("packing does not panic and is not aborted")
        .map_err(|error| failed(SessionError::Lost(error.to_string())))?;
    channel.call.finish().await.map_err(failed)?;
    match channel.call.response().await.map_err(failed)? {
        Response::Done => Ok(lacking),
        _ => Err(failed(SessionError::Unexpected)),
    }
}

/// How many bytes are needed; None where what is needed was never offered.
fn lacking(trees: &Trees, needs: &[Need]) -> Option<u64> {
    let mut lacking = 0_u64;
    for need in needs {
        let found = trees.found.get(need.entry as usize)?;
        let EntryKind::File { size, .. } = found.entry.kind else {
            return None;
        };
        lacking += size.checked_sub(need.offset)?;
    }
    Some(lacking)
}

/// A request whose data goes as far as the agent gives credit.
struct Channel {
    call: Call,
    credit: usize,
}

impl Channel {
    async fn send(&mut self, chunk: Vec<u8>) -> Result<(), SessionError> {
        while self.credit < chunk.len() {
            match self.call.next().await? {
                Frame::Credit(_, bytes) => self.credit += bytes as usize,
                _ => return Err(SessionError::Unexpected),
            }
        }
        self.credit -= chunk.len();
        self.call.send(chunk).await
    }

    /// What the agent needs, when it knows.
    async fn needs(&mut self) -> Result<Vec<Need>, SessionError> {
        let mut bytes = Vec::new();
        loop {
            match self.call.next().await? {
                Frame::Credit(_, credit) => self.credit += credit as usize,
                Frame::Data(_, data) => {
                    self.call.credit(data.len()).await?;
                    bytes.extend(data);
                }
                Frame::Response(_, Response::Needs) => {
                    return Need::decode_all(&bytes).map_err(|_| SessionError::Unexpected);
                }
                _ => return Err(SessionError::Unexpected),
            }
        }
    }
}

/// Packs what is needed.
fn pack(
    found: &[Found],
    needs: &[Need],
    read: &AtomicU64,
    sender: mpsc::Sender<Vec<u8>>,
) -> io::Result<()> {
    let mut encoder = zstd::Encoder::new(
        ChunkWriter {
            chunk: Vec::with_capacity(Frame::CHUNK),
            sender,
        },
        LEVEL,
    )?;
    encoder.window_log(WINDOW_LOG)?;
    let mut buffer = vec![0; 128 << 10];
    for need in needs {
        let found = &found[need.entry as usize];
        let EntryKind::File { size, .. } = found.entry.kind else {
            continue;
        };
        let length = size - need.offset;
        let head = ContentHead {
            entry: need.entry,
            offset: need.offset,
            length,
        };
        encoder.write_all(&head.encode())?;
        let mut file = open_at(found, need.offset);
        let mut left = length;
        while left > 0 {
            let room = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let read_some = file.as_mut().map(|file| file.read(&mut buffer[..room]));
            let count = if let Some(Ok(count @ 1..)) = read_some {
                count
            } else {
                // It has become shorter, or has gone.
                file = None;
                buffer[..room].fill(0);
                room
            };
            encoder.write_all(&buffer[..count])?;
            left -= count as u64;
            read.fetch_add(count as u64, Ordering::Relaxed);
        }
    }
    encoder.write_all(&ContentHead::end())?;
    encoder.finish()?.flush()
}

fn open_at(found: &Found, offset: u64) -> Option<File> {
    let mut file = File::open(&found.path).ok()?;
    if offset > 0 {
        file.seek(SeekFrom::Start(offset)).ok()?;
    }
    Some(file)
}

/// Cuts what is written into chunks of one frame each.
struct ChunkWriter {
    chunk: Vec<u8>,
    sender: mpsc::Sender<Vec<u8>>,
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(Frame::CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        if self.chunk.len() == Frame::CHUNK {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(Frame::CHUNK));
        self.sender
            .blocking_send(chunk)
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
