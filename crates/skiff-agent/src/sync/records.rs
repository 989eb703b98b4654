//! Lists of entries on disk: the manifest of a sync, and what earlier ones brought.
//!
//! Both are in the order of [`Entry::place`], so that they are compared by reading them side by side, whatever their
//! length. Must not look at the files that they name.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::iter::Peekable;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use skiff_proto::tree::{Entry, path_order};

use super::error::SyncError;

/// What the system says of a file; whoever writes to it or exchanges it changes that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: u64,
    changed: i64,
    modified: i64,
}

impl Stamp {
    /// Bytes on disk.
    const SIZE: usize = 24;

    /// What stands where the file's stamp is not known: no file has it.
    pub(crate) const UNKNOWN: Self = Self {
        inode: 0,
        changed: 0,
        modified: 0,
    };

    /// The stamp of a file.
    pub(crate) fn of(metadata: &std::fs::Metadata) -> Self {
        let nanoseconds =
            |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            inode: metadata.ino(),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// An entry that a sync brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// What it brought.
    pub(crate) entry: Entry,
    /// Of a file: how it was then.
    pub(crate) stamp: Stamp,
}

/// Reads entries one after the other.
pub(crate) struct Entries<R> {
    reader: R,
    body: Vec<u8>,
    /// Only the entries of this root, where one is given.
    root: Option<u16>,
}

impl<R: Read> Entries<R> {
    /// All entries that a reader has.
    pub(crate) fn new(reader: R) -> Self {
        Self {
            reader,
            body: Vec::new(),
            root: None,
        }
    }

    /// The next entry; None at the end.
    pub(crate) fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        let mut length = [0; 4];
        if !read_or_end(&mut self.reader, &mut length)? {
            return Ok(None);
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > Entry::MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.body.resize(length, 0);
        self.reader.read_exact(&mut self.body)?;
        let entry = Entry::decode(&self.body)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Some(entry))
    }
}

impl Entries<BufReader<File>> {
    /// The entries of one root, which begin at this offset of a file.
    pub(crate) fn open(path: &Path, offset: u64, root: u16) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut entries = Self::new(BufReader::with_capacity(64 << 10, file));
        entries.root = Some(root);
        Ok(entries)
    }
}

impl<R: Read> Iterator for Entries<R> {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_entry() {
            Ok(Some(entry)) if self.root.is_none_or(|root| entry.root == root) => Some(Ok(entry)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

/// The records of one tree; none where it was never synced.
pub(crate) struct Records(Option<Entries<BufReader<File>>>);

impl Records {
    /// Opens the list at this path.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        match File::open(path) {
            Ok(file) => Ok(Self(Some(Entries::new(BufReader::with_capacity(
                64 << 10,
                file,
            ))))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self(None)),
            Err(error) => Err(error),
        }
    }
}

impl Iterator for Records {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let entries = self.0.as_mut()?;
        let read = entries.next_entry().and_then(|entry| {
            let Some(entry) = entry else { return Ok(None) };
            let mut stamp = [0; Stamp::SIZE];
            entries.reader.read_exact(&mut stamp)?;
            let number = |at: usize| {
                u64::from_le_bytes(stamp[at..at + 8].try_into().expect("eight bytes are eight"))
            };
            let stamp = Stamp {
                inode: number(0),
                changed: number(8).cast_signed(),
                modified: number(16).cast_signed(),
            };
            Ok(Some(Record { entry, stamp }))
        });
        // A list that is cut off, as by a node that went down, is known as far as it goes.
        read.ok().flatten().map(Ok)
    }
}

/// Writes one record.
pub(crate) fn write_record(out: &mut impl Write, entry: &Entry, stamp: Stamp) -> io::Result<()> {
    let mut bytes = Vec::new();
    entry.encode(&mut bytes);
    bytes.extend_from_slice(&stamp.inode.to_le_bytes());
    bytes.extend_from_slice(&stamp.changed.to_le_bytes());
    bytes.extend_from_slice(&stamp.modified.to_le_bytes());
    out.write_all(&bytes)
}

/// What a new and an old list say of one path; at least one of them says something.
#[derive(Debug)]
pub(crate) struct Pair {
    /// What the tree is to have.
    pub(crate) new: Option<Entry>,
    /// What an earlier sync brought.
    pub(crate) old: Option<Record>,
}

impl Pair {
    /// The path that both are about.
    pub(crate) fn path(&self) -> &[u8] {
        match (&self.new, &self.old) {
            (Some(new), _) => &new.path,
            (None, Some(old)) => &old.entry.path,
            (None, None) => &[],
        }
    }
}

/// A new and an old list, read side by side.
pub(crate) struct Pairs<N: Iterator, O: Iterator> {
    new: Peekable<N>,
    old: Peekable<O>,
}

impl<N, O> Pairs<N, O>
where
    N: Iterator<Item = io::Result<Entry>>,
    O: Iterator<Item = io::Result<Record>>,
{
    /// Reads these side by side.
    pub(crate) fn new(new: N, old: O) -> Self {
        Self {
            new: new.peekable(),
            old: old.peekable(),
        }
    }
}

impl<N, O> Iterator for Pairs<N, O>
where
    N: Iterator<Item = io::Result<Entry>>,
    O: Iterator<Item = io::Result<Record>>,
{
    type Item = Result<Pair, SyncError>;

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.new.peek(), self.old.peek()) {
            (None, None) => return None,
            (Some(Ok(new)), Some(Ok(old))) => path_order(&new.path, &old.entry.path),
            (Some(_), None) | (Some(Err(_)), _) => Ordering::Less,
            (None, Some(_)) | (_, Some(Err(_))) => Ordering::Greater,
        };
        let new = order.is_le().then(|| self.new.next()).flatten();
        let old = order.is_ge().then(|| self.old.next()).flatten();
        let pair = new.transpose().and_then(|new| {
            Ok(Pair {
                new,
                old: old.transpose()?,
            })
        });
        Some(pair.map_err(SyncError::Malformed))
    }
}

/// Fills the buffer; false where there is nothing at all left.
fn read_or_end(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
