//! Reads the user's files: which there are, what they are, and the hashes of their contents.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use ignore::{WalkBuilder, WalkParallel, WalkState};
use skiff_proto::tree::{ContentHash, Entry, EntryKind, SyncRoot, WINDOW_LOG};

use super::{Source, SyncError, last_name};

/// Threads that read, at most: more make no disk faster.
const THREADS: usize = 8;
/// What is read of a file at once.
const BUFFER: usize = 256 << 10;
/// How hard manifests and contents are compressed: hardly, since most links are faster than more of it.
pub(super) const LEVEL: i32 = 1;

/// All trees of a sync.
#[derive(Debug)]
pub(super) struct Trees {
    /// Where they go.
    pub(super) roots: Vec<SyncRoot>,
    /// What is in them, in the order of a manifest.
    pub(super) found: Vec<Found>,
    /// The entries, compressed.
    pub(super) manifest: Vec<u8>,
    /// Number of files.
    pub(super) files: u64,
    /// Their bytes.
    pub(super) bytes: u64,
}

/// One entry, and where it is here.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) entry: Entry,
    pub(super) path: PathBuf,
}

impl Trees {
    /// Reads all sources.
    pub(super) fn read(sources: &[Source]) -> Result<Self, SyncError> {
        let mut trees = Self {
            roots: sources.iter().map(|source| source.root.clone()).collect(),
            found: Vec::new(),
            manifest: Vec::new(),
            files: 0,
            bytes: 0,
        };
        for (root, source) in (0..).zip(sources) {
            let prefix = match &source.root {
                SyncRoot::Workdir => None,
                SyncRoot::Mount { path } => Some(last_name(path).into_vec()),
            };
            trees.found.extend(read(root, source, prefix.as_deref())?);
        }
        trees
            .found
            .sort_by(|one, other| one.entry.place(&other.entry));
        let mut bytes = Vec::new();
        for found in &trees.found {
            found.entry.encode(&mut bytes);
            if let EntryKind::File { size, .. } = found.entry.kind {
                trees.files += 1;
                trees.bytes += size;
            }
        }
        trees.manifest = compressed(&bytes).expect("memory takes every write");
        Ok(trees)
    }
}

fn compressed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL)?;
    encoder.window_log(WINDOW_LOG)?;
    io::Write::write_all(&mut encoder, bytes)?;
    encoder.finish()
}

/// Reads one tree. Its paths begin with `prefix`, where there is one.
fn read(root: u16, source: &Source, prefix: Option<&[u8]>) -> Result<Vec<Found>, SyncError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| SyncError::Read { path, source }
    };
    let metadata = fs::metadata(&source.path).map_err(failed(&source.path))?;
    if !metadata.is_dir() {
        let path = prefix.unwrap_or_default().to_owned();
        let kind = kind_of(&source.path, &metadata).map_err(failed(&source.path))?;
        let entry = kind.map(|kind| Entry { root, path, kind });
        let path = source.path.clone();
        return Ok(entry
            .map(|entry| Found { entry, path })
            .into_iter()
            .collect());
    }
    let (sender, receiver) = mpsc::channel();
    walk(source)?.run(|| {
        let sender = sender.clone();
        Box::new(move |entry| {
            let read = entry
                .map_err(|error| unreadable(&source.path, error))
                .and_then(|entry| visit(root, source, prefix, &entry));
            let is_failure = read.is_err();
            if sender.send(read).is_err() || is_failure {
                return WalkState::Quit;
            }
            WalkState::Continue
        })
    });
    drop(sender);
    let found: Result<Vec<Option<Found>>, SyncError> = receiver.into_iter().collect();
    Ok(found?.into_iter().flatten().collect())
}

/// Reads what the walk has come to; None where that is nothing to sync.
fn visit(
    root: u16,
    source: &Source,
    prefix: Option<&[u8]>,
    entry: &ignore::DirEntry,
) -> Result<Option<Found>, SyncError> {
    let path = entry.path();
    let failed = |source| SyncError::Read {
        path: path.to_owned(),
        source,
    };
    let below = path.strip_prefix(&source.path).unwrap_or(path);
    let mut name = prefix.unwrap_or_default().to_owned();
    if !below.as_os_str().is_empty() {
        if !name.is_empty() {
            name.push(b'/');
        }
        name.extend_from_slice(below.as_os_str().as_bytes());
    }
    if name.is_empty() {
        return Ok(None);
    }
    // The folder itself may have been named by a link.
    let metadata = if below.as_os_str().is_empty() {
        fs::metadata(path)
    } else {
        fs::symlink_metadata(path)
    };
    let kind = metadata.and_then(|metadata| kind_of(path, &metadata));
    let kind = match kind {
        // It has gone since the folder was read.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        kind => kind.map_err(failed)?,
    };
    Ok(kind.map(|kind| Found {
        entry: Entry {
            root,
            path: name,
            kind,
        },
        path: path.to_owned(),
    }))
}

/// What a path is; None for sockets, pipes and devices, which stay behind.
fn kind_of(path: &Path, metadata: &fs::Metadata) -> io::Result<Option<EntryKind>> {
    let mode = metadata.permissions().mode() & 0o777;
    if metadata.is_dir() {
        return Ok(Some(EntryKind::Folder { mode }));
    }
    if metadata.is_symlink() {
        let target = fs::read_link(path)?.into_os_string().into_vec();
        return Ok(Some(EntryKind::Link { target }));
    }
    if !metadata.is_file() {
        return Ok(None);
    }
    let (size, hash) = hash_of(path, metadata.len())?;
    Ok(Some(EntryKind::File {
        mode,
        size,
        modified: metadata
            .mtime()
            .saturating_mul(1_000_000_000)
            .saturating_add(metadata.mtime_nsec()),
        hash,
    }))
}

/// The hash of a file as far as it had grown when it was found: a log that is written meanwhile may go on.
fn hash_of(path: &Path, size: u64) -> io::Result<(u64, ContentHash)> {
    let mut file = File::open(path)?.take(size);
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; BUFFER.min(usize::try_from(size).unwrap_or(BUFFER).max(1))];
    let mut read = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((read, *hasher.finalize().as_bytes())),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                read += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// All that is to be synced of a folder. A `.skyignore` in it decides what stays behind, else `.gitignore` files and the
/// repository's own list do.
fn walk(source: &Source) -> Result<WalkParallel, SyncError> {
    let mut walk = WalkBuilder::new(&source.path);
    let skyignore = if source.is_whole {
        None
    } else {
        patterns(&source.path)?
    };
    let by_git = skyignore.is_none() && !source.is_whole;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    walk.hidden(false)
        .ignore(false)
        .parents(false)
        .git_global(false)
        .git_exclude(by_git)
        .git_ignore(by_git)
        .require_git(false)
        .threads(threads.min(THREADS));
    if let Some(skyignore) = skyignore {
        walk.filter_entry(move |entry| {
            let is_dir = entry.file_type().is_some_and(|kind| kind.is_dir());
            !skyignore.matched(entry.path(), is_dir).is_ignore()
        });
    }
    Ok(walk.build_parallel())
}

/// The patterns of a folder's `.skyignore`, where it has one.
fn patterns(folder: &Path) -> Result<Option<Gitignore>, SyncError> {
    let path = folder.join(".skyignore");
    if !path.is_file() {
        return Ok(None);
    }
    let mut builder = GitignoreBuilder::new(folder);
    let read = match builder.add(&path) {
        Some(source) => Err(source),
        None => builder.build(),
    };
    match read {
        Ok(patterns) => Ok(Some(patterns)),
        Err(source) => Err(SyncError::Ignore { path, source }),
    }
}

/// What the walk could not read, by its own name where that is known.
fn unreadable(folder: &Path, error: ignore::Error) -> SyncError {
    let mut path = folder.to_owned();
    let mut inner = &error;
    loop {
        match inner {
            ignore::Error::WithPath { path: named, err } => {
                path.clone_from(named);
                inner = err;
            }
            ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
                inner = err;
            }
            _ => break,
        }
    }
    let source = match error.io_error() {
        Some(source) => io::Error::new(source.kind(), source.to_string()),
        None => io::Error::other(error),
    };
    SyncError::Read { path, source }
}

#[cfg(test)]
mod tests;
