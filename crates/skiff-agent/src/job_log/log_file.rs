//! One log as a stream of bytes: appended to by the job, read by those who follow it, in files of a bounded size.
//!
//! The files are the only buffer. Must not hold output back: what was appended is in the file, and its readers are
//! told, when `append` returns.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::segments::{Segment, Segments, open_to_append};

/// How long a reader that went away in the midst counts as one that comes back.
const ABSENCE: Duration = Duration::from_mins(1);
/// How far a file may grow beyond its size where no line ends.
const LONGEST_LINE: u64 = 1 << 20;

/// How large a log may become, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// One file of it.
    pub(super) file: u64,
    /// All that is kept of it.
    pub(super) kept: u64,
    /// All that is kept of it while a reader has not got it.
    pub(super) held: u64,
}

/// One log. See the module.
#[derive(Debug)]
pub(crate) struct LogFile {
    limits: Limits,
    len: watch::Sender<u64>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    segments: Segments,
    /// The newest file, once something was to be written.
    file: Option<File>,
    /// Bytes that the disk did not take since the last that it took.
    lost: u64,
    /// Whether any byte was ever lost.
    has_lost: bool,
    readers: BTreeMap<u64, Held>,
    last_reader: u64,
}

/// What a reader still needs.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// The first byte that it has not got.
    from: u64,
    /// When it is not counted on any more; None while it is there.
    until: Option<Instant>,
}

impl LogFile {
    /// A log at a path, with what is there of it already.
    pub(super) fn open(path: PathBuf, limits: Limits) -> io::Result<Self> {
        let segments = Segments::scan(path)?;
        let state = State {
            file: None,
            lost: 0,
            has_lost: false,
            readers: BTreeMap::new(),
            last_reader: 0,
            segments,
        };
        let len = watch::Sender::new(state.segments.end());
        Ok(Self {
            limits,
            len,
            state: Mutex::new(state),
        })
    }

    /// Opens the file to write, so that a failure shows before there is anything to lose.
    pub(super) fn prepare(&self) -> io::Result<()> {
        self.lock().writer().map(drop)
    }

    /// The length of the log from its first byte on, now and whenever it grows.
    pub(crate) fn watch_len(&self) -> watch::Receiver<u64> {
        self.len.subscribe()
    }

    /// The offsets of the first byte that is kept, and behind the last.
    pub(crate) fn extent(&self) -> (u64, u64) {
        let state = self.lock();
        (state.segments.start(), state.segments.end())
    }

    /// Whether the disk ever refused some of it.
    pub(crate) fn has_lost(&self) -> bool {
        self.lock().has_lost
    }

    /// Appends. What the disk refuses is counted, and named in the log when the disk takes something again.
    pub(super) fn append(&self, bytes: &[u8]) {
        let mut state = self.lock();
        let room = self.limits.file.saturating_sub(state.segments.newest().len);
        let line = memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1);
        if (bytes.len() as u64) < room {
            state.append(bytes);
        } else if line > 0
            || room == 0 && state.segments.newest().len > self.limits.file + LONGEST_LINE
        {
            state.append(&bytes[..line]);
            state.rotate();
            state.trim(self.limits);
            state.append(&bytes[line..]);
        } else {
            state.append(bytes);
        }
        let end = state.segments.end();
        drop(state);
        self.len.send_if_modified(|len| {
            let grew = *len != end;
            *len = end;
            grew
        });
    }

    /// The offset at which the last so many lines begin; None where fewer are kept.
    pub(crate) fn tail(&self, lines: u64) -> io::Result<Option<u64>> {
        let state = self.lock();
        let end = state.segments.end();
        let mut left = lines;
        let mut buffer = vec![0; 16 << 10];
        for segment in state.segments.newest_first() {
            let file = if segment.len > 0 {
                state.segments.open(segment)?
            } else {
                continue;
            };
            let mut position = segment.len;
            while position > 0 {
                let size = position.min(buffer.len() as u64);
                position -= size;
                let piece = &mut buffer[..usize::try_from(size).unwrap_or(usize::MAX)];
                file.read_exact_at(piece, position)?;
                for at in memchr::memrchr_iter(b'\n', piece) {
                    let behind = segment.start + position + at as u64 + 1;
                    // The line feed that ends the log ends its last line; it begins none.
                    if behind < end {
                        left = left.saturating_sub(1);
                    }
                    if left == 0 {
                        return Ok(Some(behind));
                    }
                }
            }
        }
        // With nothing left out, all of it is the tail.
        Ok((state.segments.start() == 0).then_some(0))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn writer(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            self.file = Some(open_to_append(self.segments.path())?);
        }
        Ok(self.file.as_mut().expect("just opened"))
    }

    fn append(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.lost > 0 {
            let note = format!(
                "\n[{} bytes of output were lost: the disk was full]\n",
                self.lost
            );
            if !self.write(note.as_bytes()) {
                self.lost += bytes.len() as u64;
                return;
            }
            self.lost = 0;
        }
        let before = self.segments.end();
        if !self.write(bytes) {
            self.lost += bytes.len() as u64 - (self.segments.end() - before);
            self.has_lost = true;
        }
    }

    /// False where not everything was written.
    fn write(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let written = match self.writer() {
                Ok(file) => file.write(bytes),
                Err(_) => return false,
            };
            match written {
                Ok(0) => return false,
                Ok(count) => {
                    self.segments.grew(count as u64);
                    bytes = &bytes[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Begins a new file. On a disk that refuses one, the log goes on in the old one.
    fn rotate(&mut self) {
        if let Ok(file) = self.segments.rotate() {
            self.file = Some(file);
            // Where a full disk refuses it, the older one that is there holds until the next.
            let _ = self.segments.write_index();
        }
    }

    /// Drops what is too much: the oldest files, but none that a reader needs as long as the disk can bear it.
    fn trim(&mut self, limits: Limits) {
        let now = Instant::now();
        self.readers
            .retain(|_, held| held.until.is_none_or(|until| until > now));
        let needed = self.readers.values().map(|held| held.from).min();
        while let Some((oldest, next)) = self.segments.oldest_two() {
            // The newest file will be full one day.
            let total = self.segments.newest().start + limits.file - oldest.start;
            let is_needed = needed.is_some_and(|from| from < next.start);
            if total <= limits.kept || (is_needed && total <= limits.held) {
                return;
            }
            self.segments.drop_oldest();
        }
    }
}

/// Reads a log from some byte on. While it is there, what it has not got is kept as long as the disk can bear it.
#[derive(Debug)]
pub(crate) struct LogReader {
    log: std::sync::Arc<LogFile>,
    number: u64,
    offset: u64,
    open: Option<(Segment, File)>,
    has_all: bool,
}

/// What a reader finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// So many bytes.
    Bytes(usize),
    /// So many bytes are not kept any more; it goes on behind them.
    Gap(u64),
    /// Nothing yet.
    Nothing,
}

impl LogReader {
    /// A reader that begins at this byte, or at the log's end where that comes before.
    pub(crate) fn new(log: std::sync::Arc<LogFile>, offset: u64) -> Self {
        let mut state = log.lock();
        let offset = offset.min(state.segments.end());
        state.last_reader += 1;
        let number = state.last_reader;
        let held = Held {
            from: offset,
            until: None,
        };
        state.readers.insert(number, held);
        drop(state);
        Self {
            log,
            number,
            offset,
            open: None,
            has_all: false,
        }
    }

    /// The offset of the byte that comes next.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads what comes next.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Found> {
        let state = self.log.lock();
        let Some(segment) = state.segments.holding(self.offset) else {
            let gap = state.segments.start() - self.offset;
            self.offset += gap;
            return Ok(Found::Gap(gap));
        };
        let file = match &mut self.open {
            Some((open, file)) if open.start == segment.start => file,
            open => {
                // An empty log may not have its file yet.
                if segment.end() == self.offset {
                    return Ok(Found::Nothing);
                }
                &mut open.insert((segment, state.segments.open(segment)?)).1
            }
        };
        let left = usize::try_from(segment.end() - self.offset).unwrap_or(usize::MAX);
        let size = left.min(buffer.len());
        let count = file.read_at(&mut buffer[..size], self.offset - segment.start)?;
        if count == 0 && left > 0 && segment.end() < state.segments.end() {
            // Somebody cut off an older file.
            self.offset = segment.end();
            return Ok(Found::Gap(left as u64));
        }
        self.offset += count as u64;
        Ok(if count == 0 {
            Found::Nothing
        } else {
            Found::Bytes(count)
        })
    }

    /// All before this byte has arrived where it is read for.
    pub(crate) fn has_got(&self, offset: u64) {
        if let Some(held) = self.log.lock().readers.get_mut(&self.number) {
            held.from = offset;
        }
    }

    /// It has got all that it came for: it does not come back.
    pub(crate) fn finish(mut self) {
        self.has_all = true;
    }
}

impl Drop for LogReader {
    fn drop(&mut self) {
        let mut state = self.log.lock();
        if self.has_all {
            state.readers.remove(&self.number);
        } else if let Some(held) = state.readers.get_mut(&self.number) {
            held.until = Some(Instant::now() + ABSENCE);
        }
        state.trim(self.log.limits);
    }
}

#[cfg(test)]
mod tests;
