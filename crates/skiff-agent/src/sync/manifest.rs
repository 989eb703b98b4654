//! Takes a manifest in: checks that it describes trees below their roots, and keeps it on disk.
//!
//! After this nothing in it can lead out: every path is made of names, and goes through folders of its own alone.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use skiff_proto::tree::{Entry, EntryKind, WINDOW_LOG};

use super::error::{SyncError, path_of};
use super::records::Entries;

/// The longest path and link that the system takes.
const LONGEST_PATH: usize = 4095;
/// The longest name.
const LONGEST_NAME: usize = 255;
/// A manifest unpacked, at most: what is larger is no tree of files.
const LARGEST: u64 = 4 << 30;

/// A manifest that was taken in.
#[derive(Debug)]
pub(crate) struct Manifest {
    path: PathBuf,
    spans: Vec<Span>,
}

/// Where a root's entries are.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    offset: u64,
    first: u32,
    /// Whether the root's first entry is a folder.
    is_folder: bool,
    count: u32,
}

impl Manifest {
    /// Reads a compressed manifest to its end and keeps it at `path`. `is_single` says of each root whether all
    /// its entries must be one, and what is in it.
    pub(crate) fn receive(
        compressed: impl Read,
        is_single: &[bool],
        path: &Path,
    ) -> Result<Self, SyncError> {
        let file = File::create_new(path).map_err(SyncError::write(path))?;
        let mut out = BufWriter::with_capacity(64 << 10, file);
        let mut reading = Entries::new(unpacked(compressed)?.take(LARGEST));
        let mut spans = vec![Span::default(); is_single.len()];
        let (mut count, mut offset) = (0_u32, 0_u64);
        let mut check = Check::default();
        let mut bytes = Vec::new();
        while let Some(entry) = reading.next_entry().map_err(broken)? {
            let Some(span) = spans.get_mut(usize::from(entry.root)) else {
                return Err(SyncError::Malformed(io::ErrorKind::InvalidData.into()));
            };
            check.entry(&entry, is_single[usize::from(entry.root)])?;
            if span.count == 0 {
                let is_folder = matches!(entry.kind, EntryKind::Folder { .. });
                (span.offset, span.first, span.is_folder) = (offset, count, is_folder);
            }
            span.count += 1;
            count = count
                .checked_add(1)
                .ok_or(SyncError::Malformed(io::ErrorKind::InvalidData.into()))?;
            bytes.clear();
            entry.encode(&mut bytes);
            offset += bytes.len() as u64;
            out.write_all(&bytes).map_err(SyncError::write(path))?;
            check.last = Some(entry);
        }
        out.flush().map_err(SyncError::write(path))?;
        Ok(Self {
            path: path.to_owned(),
            spans,
        })
    }

    /// The entries of one root, in order.
    pub(crate) fn entries(
        &self,
        root: usize,
    ) -> Result<impl Iterator<Item = io::Result<Entry>> + use<>, SyncError> {
        let span = self.spans[root];
        let count = span.count as usize;
        let root = u16::try_from(root).expect("roots were counted by a number of this size");
        Entries::open(&self.path, span.offset, root)
            .map(|entries| entries.take(count))
            .map_err(SyncError::read(&self.path))
    }

    /// The number of the first entry of a root.
    pub(crate) fn first(&self, root: usize) -> u32 {
        self.spans[root].first
    }

    /// Whether a root's first entry is a folder; None where the root has none.
    pub(crate) fn is_folder(&self, root: usize) -> Option<bool> {
        let span = self.spans[root];
        (span.count > 0).then_some(span.is_folder)
    }

    /// The path of an entry, for messages.
    pub(crate) fn path_of(&self, number: u32) -> PathBuf {
        let named = File::open(&self.path).ok().and_then(|file| {
            Entries::new(BufReader::new(file))
                .nth(number as usize)?
                .ok()
        });
        named.map_or_else(PathBuf::new, |entry| path_of(&entry.path).to_owned())
    }
}

/// A stream of ours, unpacked with bounded memory.
pub(crate) fn unpacked(compressed: impl Read) -> Result<impl Read, SyncError> {
    let mut decoder = zstd::Decoder::new(compressed).map_err(SyncError::Malformed)?;
    decoder
        .window_log_max(WINDOW_LOG)
        .map_err(SyncError::Malformed)?;
    Ok(decoder)
}

/// What a failure to read a client's stream means.
pub(crate) fn broken(error: io::Error) -> SyncError {
    if error.kind() == io::ErrorKind::ConnectionAborted {
        SyncError::Broken
    } else {
        SyncError::Malformed(error)
    }
}

/// Whether entries follow each other as in a tree.
#[derive(Default)]
struct Check {
    last: Option<Entry>,
    /// The folders that the last entry is in, or is.
    folders: Vec<Vec<u8>>,
}

impl Check {
    fn entry(&mut self, entry: &Entry, is_single: bool) -> Result<(), SyncError> {
        let wrong = |why| SyncError::Name(path_of(&entry.path).to_owned(), why);
        let same_root = self
            .last
            .as_ref()
            .is_some_and(|last| last.root == entry.root);
        if self
            .last
            .as_ref()
            .is_some_and(|last| last.place(entry).is_ge())
        {
            return Err(wrong("is out of order"));
        }
        if !same_root {
            self.folders.clear();
        }
        check_path(&entry.path).map_err(wrong)?;
        if let EntryKind::Link { target } = &entry.kind
            && (target.is_empty() || target.len() > LONGEST_PATH || target.contains(&0))
        {
            return Err(wrong("is a link to no path"));
        }
        if is_single && same_root && !entry.path.contains(&b'/') {
            return Err(wrong("is beside what is to appear there"));
        }
        let is_below = |folder: &Vec<u8>| {
            entry.path.starts_with(folder) && entry.path.get(folder.len()) == Some(&b'/')
        };
        while self.folders.last().is_some_and(|folder| !is_below(folder)) {
            self.folders.pop();
        }
        let parent = entry.path.iter().rposition(|byte| *byte == b'/');
        let parent = parent.map_or(&[][..], |at| &entry.path[..at]);
        if self.folders.last().map_or(&[][..], Vec::as_slice) != parent {
            return Err(SyncError::Through(path_of(&entry.path).to_owned()));
        }
        if matches!(entry.kind, EntryKind::Folder { .. }) {
            self.folders.push(entry.path.clone());
        }
        Ok(())
    }
}

fn check_path(path: &[u8]) -> Result<(), &'static str> {
    if path.len() > LONGEST_PATH {
        return Err("is too long");
    }
    if path.contains(&0) {
        return Err("contains a zero byte");
    }
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." | b".." => return Err("is not a path below its folder"),
            name if name.len() > LONGEST_NAME => return Err("has too long a name"),
            _ => {}
        }
    }
    Ok(())
}
