//! Where contents wait until their tree is whole.
//!
//! Each sync has a folder of its own, so that two of them never meet in a file. What is in it when a sync breaks off
//! goes to a store of contents by hash, from which the next sync takes what it needs: nothing is sent twice.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use skiff_proto::paths;
use skiff_proto::tree::{ContentHash, EntryKind, Need};

use super::compare::{Comparison, Target};
use super::content::{self, SparseFile};
use super::error::{SyncError, path_of};
use super::records::{Records, Stamp};
use crate::layout::Layout;

/// How long contents of a sync that broke off are kept.
const KEPT_FOR: Duration = Duration::from_hours(24);

/// One sync's folder. Dropping it keeps its contents for the next sync.
#[derive(Debug)]
pub(crate) struct Staging {
    dir: PathBuf,
    kept: PathBuf,
    /// Whether what is left is of no use.
    is_spent: bool,
}

impl Staging {
    /// A new folder.
    pub(crate) fn new(layout: &Layout) -> Result<Self, SyncError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let staging = Self {
            dir: layout
                .at(paths::SYNC)
                .join("incoming")
                .join(number.to_string()),
            kept: layout.at(paths::SYNC).join("kept"),
            is_spent: false,
        };
        for dir in [&staging.dir, &staging.kept] {
            make_private(dir).map_err(SyncError::write(dir))?;
        }
        Ok(staging)
    }

    /// Where a content is, or comes to be.
    pub(crate) fn content(&self, hash: &ContentHash) -> PathBuf {
        self.dir.join(name_of(hash))
    }

    /// A file of another name.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Removes everything, what earlier syncs left included: where the disk is full, it fills it.
    pub(crate) fn give_up(&mut self) {
        self.is_spent = true;
        // What cannot be removed is met again by the next sync.
        let _ = fs::remove_dir_all(&self.kept);
    }

    /// The sync has come to its end: what is left of it, and what nobody came back for, goes.
    pub(crate) fn finish(mut self) {
        self.is_spent = true;
        let Ok(kept) = fs::read_dir(&self.kept) else {
            return;
        };
        let now = SystemTime::now();
        for entry in kept.flatten() {
            let age = entry
                .metadata()
                .and_then(|metadata| metadata.modified())
                .ok()
                .and_then(|modified| now.duration_since(modified).ok());
            if age.is_none_or(|age| age > KEPT_FOR) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Brings the contents that are to be had here, and gives what is lacking of the others, in order.
    pub(crate) fn gather(
        &self,
        comparison: &mut Comparison,
        targets: &[&Target],
    ) -> Result<Vec<Need>, SyncError> {
        let mut lacking = HashMap::new();
        let kept = names_in(&self.kept).map_err(SyncError::read(&self.kept))?;
        for (hash, wanted) in &comparison.wanted {
            let there = if kept.contains(name_of(hash).as_str()) {
                self.take_kept(hash, wanted.size)?
            } else {
                0
            };
            if there < wanted.size {
                lacking.insert(*hash, there);
            } else if wanted.size == 0 {
                let path = self.content(hash);
                SparseFile::append(&path).map_err(SyncError::write(&path))?;
            }
        }
        for target in targets {
            if !lacking.is_empty() {
                self.copy_from(target, &mut lacking)?;
            }
        }
        let mut needs: Vec<Need> = lacking
            .iter()
            .map(|(hash, offset)| Need {
                entry: comparison.wanted[hash].entry,
                offset: *offset,
            })
            .collect();
        needs.sort_unstable();
        Ok(needs)
    }

    /// Takes over what an earlier sync had of a content: how much of it there is.
    fn take_kept(&self, hash: &ContentHash, size: u64) -> Result<u64, SyncError> {
        let path = self.content(hash);
        match fs::rename(self.kept.join(name_of(hash)), &path) {
            // Another sync took it first.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            result => result.map_err(SyncError::write(&path))?,
        }
        let length = fs::metadata(&path).map_err(SyncError::read(&path))?.len();
        let is_whole = || Ok(content::hash_of(&path).map_err(SyncError::read(&path))? == *hash);
        if length < size || (length == size && is_whole()?) {
            return Ok(length);
        }
        fs::remove_file(&path).map_err(SyncError::write(&path))?;
        Ok(0)
    }

    /// Copies contents that lie in a tree under other names.
    fn copy_from(
        &self,
        target: &Target,
        lacking: &mut HashMap<ContentHash, u64>,
    ) -> Result<(), SyncError> {
        let records = Records::open(&target.records).map_err(SyncError::read(&target.records))?;
        for record in records.flatten() {
            let EntryKind::File { hash, .. } = &record.entry.kind else {
                continue;
            };
            let Some(source) = target.path(path_of(&record.entry.path)) else {
                continue;
            };
            let is_there =
                || fs::symlink_metadata(&source).is_ok_and(|now| Stamp::of(&now) == record.stamp);
            if !lacking.contains_key(hash) || !is_there() {
                continue;
            }
            let path = self.content(hash);
            let _ = fs::remove_file(&path);
            match content::copy(&source, &path) {
                Ok(copied) if copied == *hash => {
                    lacking.remove(hash);
                }
                Err(error) if crate::fault::is_full(&error) => {
                    return Err(SyncError::Write(path, error));
                }
                // It changed while it was read, or cannot be read: the client sends it.
                _ => {
                    let _ = fs::remove_file(&path);
                    lacking.insert(*hash, 0);
                }
            }
        }
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.is_spent {
            keep(&self.dir, &self.kept);
        }
        // What is left is removed when the agent starts the next time.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Keeps what syncs had when the agent ended in their midst.
pub(crate) fn recover(layout: &Layout) -> io::Result<()> {
    let sync = layout.at(paths::SYNC);
    let (incoming, kept) = (sync.join("incoming"), sync.join("kept"));
    make_private(&kept)?;
    match fs::read_dir(&incoming) {
        Ok(folders) => folders
            .flatten()
            .for_each(|folder| keep(&folder.path(), &kept)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    fs::remove_dir_all(incoming)
}

/// Moves contents to the store. One that is there already is replaced only by a longer one.
fn keep(dir: &Path, kept: &Path) {
    let Ok(files) = fs::read_dir(dir) else {
        return;
    };
    for file in files.flatten() {
        let name = file.file_name();
        let length = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
        let is_content = name.len() == 2 * size_of::<ContentHash>();
        let place = kept.join(&name);
        if is_content && length(&file.path()) > length(&place) {
            // What cannot be kept is sent again.
            let _ = fs::rename(file.path(), place);
        }
    }
}

/// Makes a folder that only the agent's user looks into.
pub(crate) fn make_private(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

fn names_in(dir: &Path) -> io::Result<HashSet<String>> {
    let names = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
    names.filter_map(Result::transpose).collect()
}

fn name_of(hash: &ContentHash) -> String {
    blake3::Hash::from_bytes(*hash).to_hex().to_string()
}
