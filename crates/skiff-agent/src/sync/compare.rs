//! What is to be done so that a tree becomes what a manifest says. Changes nothing.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use skiff_proto::tree::{ContentHash, Entry, EntryKind};

use super::content;
use super::error::{SyncError, path_of};
use super::records::{Pair, Pairs, Record, Records, Stamp};

/// Where a tree is.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The folder that it is in.
    pub(crate) dir: PathBuf,
    /// How many names at the start of its paths stand for that folder itself.
    pub(crate) skipped: usize,
    /// The list of what syncs brought there.
    pub(crate) records: PathBuf,
}

impl Target {
    /// Where an entry is; None for those that stand for the folder itself.
    pub(crate) fn path(&self, entry: &Path) -> Option<PathBuf> {
        let mut names = entry.components().skip(self.skipped).peekable();
        names.peek()?;
        let mut path = self.dir.clone();
        path.extend(names);
        Some(path)
    }
}

/// What is to be done for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Nothing.
    Same,
    /// Its content is there; its permissions or its time may have to be set.
    Touch,
    /// It has to be made.
    Make,
}

/// A content that has to come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// The first entry with this content that has to be made.
    pub(crate) entry: u32,
    /// The last one.
    pub(crate) last: u32,
    /// Its size.
    pub(crate) size: u64,
    /// The permissions of the last one.
    pub(crate) mode: u32,
    /// The time of the last one.
    pub(crate) modified: i64,
}

/// What is to be done for all entries of a sync.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// By the number of the entry.
    pub(crate) statuses: Vec<Status>,
    /// By the hash.
    pub(crate) wanted: HashMap<ContentHash, Wanted>,
    /// Whether anything is to be done, be it to forget what is gone.
    pub(crate) has_changes: bool,
}

impl Comparison {
    /// Compares one tree, the entries of which follow those that were compared before.
    pub(crate) fn add(
        &mut self,
        target: &Target,
        entries: impl Iterator<Item = io::Result<Entry>>,
    ) -> Result<(), SyncError> {
        let records = Records::open(&target.records).map_err(SyncError::read(&target.records))?;
        let mut there = There::new(target);
        let mut obstacles = Obstacles::default();
        for pair in Pairs::new(entries, records) {
            let pair = pair?;
            let found = there.look(&pair)?;
            obstacles.meet(target, &pair, found.as_ref())?;
            let Some(new) = &pair.new else {
                self.has_changes = true;
                continue;
            };
            let path = target.path(path_of(&new.path));
            let status = match &path {
                Some(path) => status(path, new, pair.old.as_ref(), found.as_ref())?,
                None => Status::Same,
            };
            self.has_changes |= status != Status::Same;
            let number = u32::try_from(self.statuses.len()).expect("the manifest's count is one");
            self.statuses.push(status);
            if status == Status::Make {
                self.want(number, &new.kind);
            }
        }
        obstacles.end()
    }

    /// Notes that the content of an entry has to come, where it is a file.
    fn want(&mut self, number: u32, kind: &EntryKind) {
        let EntryKind::File {
            mode,
            size,
            modified,
            hash,
        } = kind
        else {
            return;
        };
        let wanted = self.wanted.entry(*hash).or_insert(Wanted {
            entry: number,
            last: number,
            size: *size,
            mode: *mode,
            modified: *modified,
        });
        (wanted.last, wanted.mode, wanted.modified) = (number, *mode, *modified);
    }
}

/// What lies at the paths of a tree, without going through links.
pub(crate) struct There<'a> {
    target: &'a Target,
    /// The folders that the last path is in, or is, and whether each is a real one.
    folders: Vec<(Vec<u8>, bool)>,
}

impl<'a> There<'a> {
    /// Nothing has been looked at.
    pub(crate) fn new(target: &'a Target) -> Self {
        Self {
            target,
            folders: Vec::new(),
        }
    }

    /// What lies at the path of a pair; None also where a folder above it is none.
    pub(crate) fn look(&mut self, pair: &Pair) -> Result<Option<Metadata>, SyncError> {
        let path = pair.path();
        while self
            .folders
            .last()
            .is_some_and(|(folder, _)| !is_below(path, folder))
        {
            self.folders.pop();
        }
        let Some(place) = self.target.path(path_of(path)) else {
            self.folders.push((path.to_owned(), true));
            return Ok(None);
        };
        let found = if self.folders.last().is_none_or(|(_, is_real)| *is_real) {
            metadata(&place)?
        } else {
            None
        };
        let is_folder = |entry: &Entry| matches!(entry.kind, EntryKind::Folder { .. });
        let new = pair.new.as_ref().is_some_and(is_folder);
        if new || pair.old.as_ref().is_some_and(|old| is_folder(&old.entry)) {
            let is_real = found.as_ref().is_some_and(Metadata::is_dir);
            self.folders.push((path.to_owned(), is_real));
        }
        Ok(found)
    }
}

/// What lies at a path itself.
pub(crate) fn metadata(path: &Path) -> Result<Option<Metadata>, SyncError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(SyncError::Read(path.to_owned(), error)),
    }
}

/// Whether a path is below a folder.
pub(crate) fn is_below(path: &[u8], folder: &[u8]) -> bool {
    path.starts_with(folder) && path.get(folder.len()) == Some(&b'/')
}

/// Whether what lies there is still what a sync brought.
pub(crate) fn is_as_brought(
    path: &Path,
    record: &Record,
    found: &Metadata,
) -> Result<bool, SyncError> {
    match &record.entry.kind {
        EntryKind::Folder { .. } => Ok(found.is_dir()),
        EntryKind::Link { target } => Ok(found.is_symlink() && leads_to(path, target)),
        EntryKind::File { .. } if !found.is_file() => Ok(false),
        EntryKind::File { .. } if Stamp::of(found) == record.stamp => Ok(true),
        // The sync that brought it did not come to its end.
        EntryKind::File { size, hash, .. } if record.stamp == Stamp::UNKNOWN => {
            Ok(found.len() == *size && has_content(path, hash)?)
        }
        EntryKind::File { .. } => Ok(false),
    }
}

fn status(
    path: &Path,
    new: &Entry,
    old: Option<&Record>,
    found: Option<&Metadata>,
) -> Result<Status, SyncError> {
    let Some(found) = found else {
        return Ok(Status::Make);
    };
    let known = old.is_some_and(|old| old.entry.kind == new.kind);
    let ready = |is_ready: bool| match (is_ready, known) {
        (true, true) => Status::Same,
        (true, false) => Status::Touch,
        (false, _) => Status::Make,
    };
    Ok(match &new.kind {
        EntryKind::Folder { mode } => {
            let is_mode = found.permissions().mode() & 0o777 == folder_mode(*mode);
            ready(found.is_dir() && is_mode)
        }
        EntryKind::Link { target } => ready(found.is_symlink() && leads_to(path, target)),
        EntryKind::File { .. } if !found.is_file() => Status::Make,
        EntryKind::File { size, hash, .. } => {
            let old = old.filter(|old| old.stamp == Stamp::of(found));
            match old.map(|old| &old.entry.kind) {
                Some(kind) if *kind == new.kind => Status::Same,
                Some(EntryKind::File { hash: known, .. }) if known == hash => Status::Touch,
                None if found.len() == *size && has_content(path, hash)? => Status::Touch,
                _ => Status::Make,
            }
        }
    })
}

/// The permissions of a folder: its owner must be able to put files there, now and with the next sync.
pub(crate) fn folder_mode(mode: u32) -> u32 {
    mode & 0o777 | 0o700
}

fn leads_to(path: &Path, target: &[u8]) -> bool {
    fs::read_link(path).is_ok_and(|link| link.as_os_str().as_bytes() == target)
}

/// One that cannot be read is not the one.
fn has_content(path: &Path, hash: &ContentHash) -> Result<bool, SyncError> {
    match content::hash_of(path) {
        Ok(found) => Ok(found == *hash),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(SyncError::Read(path.to_owned(), error)),
    }
}

/// Folders of the pod in the places of files: they may go only where nothing in them is a job's own.
#[derive(Default)]
struct Obstacles {
    /// The folder's path, and how many of the things in it no sync is known to have brought.
    current: Option<(Vec<u8>, u64)>,
}

impl Obstacles {
    fn meet(
        &mut self,
        target: &Target,
        pair: &Pair,
        found: Option<&Metadata>,
    ) -> Result<(), SyncError> {
        let Some(place) = target.path(path_of(pair.path())) else {
            return Ok(());
        };
        if let Some((folder, others)) = &mut self.current
            && is_below(pair.path(), folder)
        {
            if let (Some(old), Some(found)) = (&pair.old, found)
                && is_as_brought(&place, old, found)?
            {
                *others = others.saturating_sub(1);
            }
            return Ok(());
        }
        std::mem::take(self).end()?;
        let wants_other = pair
            .new
            .as_ref()
            .is_some_and(|new| !matches!(new.kind, EntryKind::Folder { .. }));
        if wants_other && found.is_some_and(Metadata::is_dir) {
            let held = count(&place).map_err(SyncError::read(&place))?;
            self.current = Some((pair.path().to_owned(), held));
        }
        Ok(())
    }

    fn end(self) -> Result<(), SyncError> {
        match self.current {
            Some((folder, 1..)) => Err(SyncError::InTheWay(path_of(&folder).to_owned())),
            _ => Ok(()),
        }
    }
}

/// How many things are in a folder and in the folders in it.
fn count(folder: &Path) -> io::Result<u64> {
    let mut held = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            held += 1;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(held)
}
