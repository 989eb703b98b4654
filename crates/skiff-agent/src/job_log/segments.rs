//! The files of one log: `run.log` holds the newest bytes, `run.log.1` those before them, and so on.
//!
//! Offsets are those of the whole log from its first byte. Where `run.log` begins in it is written beside it, as the
//! number of a file and its offset: whatever of a rotation a crash leaves undone, that file is still found. Must not
//! decide when to rotate or what to drop.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The files of one log, oldest first; the last one is the log's own.
#[derive(Debug)]
pub(super) struct Segments {
    path: PathBuf,
    parts: VecDeque<Segment>,
}

/// One file of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The offset of its first byte in the whole log.
    pub(super) start: u64,
    /// Its length.
    pub(super) len: u64,
    /// The number behind its name; 0 is the log's own file, which has none.
    number: u32,
}

impl Segment {
    /// The offset behind its last byte.
    pub(super) fn end(self) -> u64 {
        self.start + self.len
    }
}

impl Segments {
    /// Finds what there is of a log; nothing is an empty log.
    pub(super) fn scan(path: PathBuf) -> io::Result<Self> {
        let mut found = older(&path)?;
        found.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        let own = match fs::metadata(&path) {
            Ok(metadata) => (metadata.ino(), metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (0, 0),
            Err(error) => return Err(error),
        };
        found.push((0, own));
        let mut parts = VecDeque::new();
        let mut anchor = None;
        let index = read_index(&path);
        let mut start = 0;
        for (number, (inode, len)) in found {
            if let Some((known, offset)) = index
                && known == inode
            {
                anchor = Some((start, offset));
            }
            parts.push_back(Segment { start, len, number });
            start += len;
        }
        // Counted from the oldest file there is; the one whose place is known says by how much that is wrong.
        if let Some((counted, known)) = anchor {
            for part in &mut parts {
                part.start = (part.start + known).saturating_sub(counted);
            }
        }
        Ok(Self { path, parts })
    }

    /// The log's own file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The offset of the first byte that is still there.
    pub(super) fn start(&self) -> u64 {
        self.parts.front().map_or(0, |part| part.start)
    }

    /// The offset behind the last byte.
    pub(super) fn end(&self) -> u64 {
        self.newest().end()
    }

    /// The file that is written.
    pub(super) fn newest(&self) -> Segment {
        *self.parts.back().expect("a log has its own file")
    }

    /// The oldest file and the one behind it, where there are two.
    pub(super) fn oldest_two(&self) -> Option<(Segment, Segment)> {
        Some((*self.parts.front()?, *self.parts.get(1)?))
    }

    /// All files, newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = Segment> + '_ {
        self.parts.iter().rev().copied()
    }

    /// The file that holds the byte at `offset`, or that will; None where it is not kept any more.
    pub(super) fn holding(&self, offset: u64) -> Option<Segment> {
        let behind = self.parts.partition_point(|part| part.start <= offset);
        self.parts.get(behind.checked_sub(1)?).copied()
    }

    /// Opens one of the files for reading.
    pub(super) fn open(&self, segment: Segment) -> io::Result<File> {
        File::open(self.name(segment.number))
    }

    /// So many bytes were added to the newest file.
    pub(super) fn grew(&mut self, bytes: u64) {
        if let Some(newest) = self.parts.back_mut() {
            newest.len += bytes;
        }
    }

    /// Begins a new file; gives it, open for appending. Where that fails the log goes on in the one it has.
    pub(super) fn rotate(&mut self) -> io::Result<File> {
        let fresh = with_suffix(&self.path, ".new");
        let file = open_to_append(&fresh)?;
        for at in 0..self.parts.len() {
            let number = self.parts[at].number;
            fs::rename(self.name(number), self.name(number + 1))?;
            self.parts[at].number = number + 1;
        }
        fs::rename(&fresh, &self.path)?;
        let start = self.end();
        self.parts.push_back(Segment {
            start,
            len: 0,
            number: 0,
        });
        Ok(file)
    }

    /// Writes down where the newest file begins.
    pub(super) fn write_index(&self) -> io::Result<()> {
        let inode = fs::metadata(&self.path)?.ino();
        let (index, fresh) = (
            index_of(&self.path),
            with_suffix(&index_of(&self.path), ".new"),
        );
        fs::write(&fresh, format!("{inode} {}\n", self.newest().start))?;
        fs::rename(fresh, index)
    }

    /// Drops the oldest file, unless it is the only one.
    pub(super) fn drop_oldest(&mut self) {
        if self.parts.len() > 1
            && let Some(oldest) = self.parts.pop_front()
        {
            // One that somebody has removed already is gone as well.
            let _ = fs::remove_file(self.name(oldest.number));
        }
    }

    fn name(&self, number: u32) -> PathBuf {
        match number {
            0 => self.path.clone(),
            number => with_suffix(&self.path, &format!(".{number}")),
        }
    }
}

/// Opens a log's file for appending, with the folder that it lies in.
pub(super) fn open_to_append(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    File::options().append(true).create(true).open(path)
}

/// The older files of a log: number, and inode and length.
fn older(path: &Path) -> io::Result<Vec<(u32, (u64, u64))>> {
    let (Some(dir), Some(name)) = (
        path.parent(),
        path.file_name().and_then(|name| name.to_str()),
    ) else {
        return Ok(Vec::new());
    };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(|entry| {
            let number = entry.strip_prefix(name)?.strip_prefix('.')?;
            number.parse().ok().filter(|number| *number > 0)
        });
        let Some(number) = number else { continue };
        let metadata = entry.metadata()?;
        if metadata.is_file() {
            found.push((number, (metadata.ino(), metadata.len())));
        }
    }
    Ok(found)
}

/// The number of a file and its offset; None where nothing is written down, which is so before the first rotation.
fn read_index(path: &Path) -> Option<(u64, u64)> {
    let text = fs::read_to_string(index_of(path)).ok()?;
    let (inode, start) = text.trim().split_once(' ')?;
    Some((inode.parse().ok()?, start.parse().ok()?))
}

fn index_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".start");
    path.with_file_name(name)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
