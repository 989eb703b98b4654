//! Makes a tree what its manifest says, once everything that it needs is there.
//!
//! What takes room on the disk is done first ([`Placing::prepare`]), beside the tree; then the rest is renames. Nothing
//! is ever written through a link: what stands in the place of a folder is replaced by one.

use std::fs::{self, File, FileTimes, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use skiff_proto::tree::{Entry, EntryKind};

use super::compare::{Comparison, Status, Target, There, folder_mode, is_as_brought, metadata};
use super::content;
use super::error::{SyncError, path_of};
use super::records::{Pair, Pairs, Record, Records, Stamp, write_record};
use super::staging::{Staging, make_private};

/// One tree on its way to its place.
pub(crate) struct Placing<'a, E> {
    pub(crate) target: &'a Target,
    /// Gives the tree's entries anew.
    pub(crate) entries: E,
    /// The number of the first of them.
    pub(crate) first: u32,
    pub(crate) comparison: &'a Comparison,
    pub(crate) staging: &'a Staging,
}

impl<E, I> Placing<'_, E>
where
    E: Fn() -> Result<I, SyncError>,
    I: Iterator<Item = io::Result<Entry>>,
{
    /// Gets every file ready, with its permissions and its time, on the file system of the tree.
    pub(crate) fn prepare(&self) -> Result<Prepared, SyncError> {
        let prepared = Prepared::new(self.target, self.staging)?;
        if self.comparison.wanted.is_empty() {
            return Ok(prepared);
        }
        let statuses = self.comparison.statuses.iter().skip(self.first as usize);
        for ((entry, status), number) in (self.entries)()?.zip(statuses).zip(self.first..) {
            let entry = entry.map_err(SyncError::Malformed)?;
            let EntryKind::File {
                mode,
                modified,
                hash,
                ..
            } = &entry.kind
            else {
                continue;
            };
            if *status != Status::Make {
                continue;
            }
            let content = self.staging.content(hash);
            let ready = prepared.path(self, &entry, number);
            if ready != content {
                let copied = content::copy(&content, &ready).map_err(SyncError::write(&ready))?;
                if copied != *hash {
                    return Err(SyncError::Content(path_of(&entry.path).to_owned()));
                }
            }
            furnish(&ready, *mode, *modified).map_err(SyncError::write(&ready))?;
        }
        Ok(prepared)
    }

    /// Puts everything in its place. What this needs of the disk is next to nothing, so it does not stop in the middle.
    pub(crate) fn place(&self, prepared: &Prepared) -> Result<(), SyncError> {
        if !self.comparison.has_changes {
            return Ok(());
        }
        self.note_beforehand()?;
        self.remove()?;
        let mut records = NewRecords::create(&self.target.records)?;
        for (number, entry) in (self.first..).zip((self.entries)()?) {
            let entry = entry.map_err(SyncError::Malformed)?;
            let status = self.comparison.statuses[number as usize];
            let stamp = match self.target.path(path_of(&entry.path)) {
                Some(path) => Self::settle(&entry, status, &path, || {
                    prepared.path(self, &entry, number)
                })?,
                None => Stamp::UNKNOWN,
            };
            records.add(&entry, stamp)?;
        }
        records.take_effect()
    }

    /// Before anything changes, the list has all that may be there afterwards: what an agent that is killed now has
    /// brought is known to the next one.
    fn note_beforehand(&self) -> Result<(), SyncError> {
        let mut records = NewRecords::create(&self.target.records)?;
        let mut number = self.first;
        for pair in self.pairs()? {
            let Pair { new, old } = pair?;
            if let Some(new) = new {
                let is_same = self.comparison.statuses[number as usize] == Status::Same;
                let old = old.filter(|_| is_same);
                records.add(&new, old.map_or(Stamp::UNKNOWN, |old| old.stamp))?;
                number += 1;
            } else if let Some(old) = old {
                records.add(&old.entry, old.stamp)?;
            }
        }
        records.take_effect()
    }

    /// Removes what earlier syncs brought and this one does not have, unless a job has changed it since.
    fn remove(&self) -> Result<(), SyncError> {
        let mut there = There::new(self.target);
        let mut gone: Vec<PathBuf> = Vec::new();
        for pair in self.pairs()? {
            let pair = pair?;
            let Some(old) = &pair.old else {
                continue;
            };
            let Some(found) = there.look(&pair)? else {
                continue;
            };
            let stays = match &pair.new {
                Some(new) => !found.is_dir() || matches!(new.kind, EntryKind::Folder { .. }),
                None => false,
            };
            let path = self.target.path(path_of(&old.entry.path));
            if let Some(path) = path
                && !stays
                && is_as_brought(&path, old, &found)?
            {
                gone.push(path);
            }
        }
        for path in gone.iter().rev() {
            remove(path).map_err(SyncError::write(path))?;
        }
        Ok(())
    }

    fn pairs(
        &self,
    ) -> Result<impl Iterator<Item = Result<Pair, SyncError>> + use<'_, E, I>, SyncError> {
        let records = &self.target.records;
        let records = Records::open(records).map_err(SyncError::read(records))?;
        Ok(Pairs::new((self.entries)()?, records))
    }

    /// Makes one entry be there; gives the stamp of a file.
    fn settle(
        entry: &Entry,
        status: Status,
        path: &Path,
        ready: impl FnOnce() -> PathBuf,
    ) -> Result<Stamp, SyncError> {
        let failed = SyncError::write(path);
        match (&entry.kind, status) {
            (_, Status::Make) => make(entry, path, ready).map_err(failed)?,
            (EntryKind::File { mode, modified, .. }, Status::Touch) => {
                // It may have gone since: then the next sync brings it.
                match furnish(path, *mode, *modified) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(failed(error));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        match &entry.kind {
            EntryKind::File { .. } => {
                Ok(metadata(path)?.map_or(Stamp::UNKNOWN, |found| Stamp::of(&found)))
            }
            _ => Ok(Stamp::UNKNOWN),
        }
    }
}

/// Makes an entry be there, in the place of whatever was.
fn make(entry: &Entry, path: &Path, ready: impl FnOnce() -> PathBuf) -> io::Result<()> {
    let found = fs::symlink_metadata(path).ok();
    match &entry.kind {
        EntryKind::Folder { mode } => {
            if !found.as_ref().is_some_and(fs::Metadata::is_dir) {
                if found.is_some() {
                    fs::remove_file(path)?;
                }
                fs::create_dir(path)?;
            }
            fs::set_permissions(path, Permissions::from_mode(folder_mode(*mode)))
        }
        EntryKind::Link { target } => {
            if found.is_none() {
                return symlink(path_of(target), path);
            }
            clear_folder(path, found.as_ref())?;
            let beside = beside(path);
            symlink(path_of(target), &beside)?;
            fs::rename(&beside, path).inspect_err(|_| {
                // The half of it is of no use.
                let _ = fs::remove_file(&beside);
            })
        }
        EntryKind::File { mode, modified, .. } => {
            clear_folder(path, found.as_ref())?;
            let ready = ready();
            match fs::rename(&ready, path) {
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                    carry_over(&ready, path, *mode, *modified)
                }
                result => result,
            }
        }
    }
}

/// Where the files of a tree are ready.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// A folder on the tree's own file system, where that is not the staging's.
    near: Option<PathBuf>,
}

impl Prepared {
    fn new(target: &Target, staging: &Staging) -> Result<Self, SyncError> {
        let device = |path: &Path| {
            fs::metadata(path)
                .map(|metadata| metadata.dev())
                .map_err(SyncError::read(path))
        };
        let own = staging.file("");
        if device(&own)? == device(&target.dir)? {
            return Ok(Self { near: None });
        }
        let near = target.dir.join(format!(".skiff-{:x}", std::process::id()));
        // One that an agent left in the midst of this.
        let _ = fs::remove_dir_all(&near);
        make_private(&near).map_err(SyncError::write(&near))?;
        Ok(Self { near: Some(near) })
    }

    /// Where an entry's file is ready. The last one of a content is that content itself, the others are copies.
    fn path<E>(&self, placing: &Placing<'_, E>, entry: &Entry, number: u32) -> PathBuf {
        let name = format!("copy-{number}");
        match (&self.near, &entry.kind) {
            (Some(near), _) => near.join(name),
            (None, EntryKind::File { hash, .. })
                if placing
                    .comparison
                    .wanted
                    .get(hash)
                    .is_some_and(|wanted| wanted.last == number) =>
            {
                placing.staging.content(hash)
            }
            (None, _) => placing.staging.file(&name),
        }
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some(near) = &self.near {
            // A rest of it is removed by the next sync.
            let _ = fs::remove_dir_all(near);
        }
    }
}

/// A list of records that takes the place of the old one when it is whole.
struct NewRecords {
    path: PathBuf,
    fresh: PathBuf,
    out: BufWriter<File>,
}

impl NewRecords {
    fn create(path: &Path) -> Result<Self, SyncError> {
        let fresh = path.with_extension("new");
        if let Some(dir) = path.parent() {
            make_private(dir).map_err(SyncError::write(dir))?;
        }
        let file = File::create(&fresh).map_err(SyncError::write(&fresh))?;
        Ok(Self {
            path: path.to_owned(),
            fresh,
            out: BufWriter::with_capacity(64 << 10, file),
        })
    }

    fn add(&mut self, entry: &Entry, stamp: Stamp) -> Result<(), SyncError> {
        write_record(&mut self.out, entry, stamp).map_err(SyncError::write(&self.fresh))
    }

    fn take_effect(mut self) -> Result<(), SyncError> {
        self.out.flush().map_err(SyncError::write(&self.fresh))?;
        fs::rename(&self.fresh, &self.path).map_err(SyncError::write(&self.path))
    }
}

/// Gives a file its permissions and its time.
fn furnish(path: &Path, mode: u32, modified: i64) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    let wanted = time_of(modified);
    if found.modified()? != wanted {
        // Its owner may always do that, whatever its permissions.
        let times = FileTimes::new().set_modified(wanted);
        open_to_furnish(path)?.set_times(times)?;
    }
    if found.permissions().mode() & 0o7777 != mode & 0o777 {
        fs::set_permissions(path, Permissions::from_mode(mode & 0o777))?;
    }
    Ok(())
}

/// A file that its owner may not read is lent that right.
fn open_to_furnish(path: &Path) -> io::Result<File> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            fs::set_permissions(path, Permissions::from_mode(0o600))?;
            File::open(path)
        }
        result => result,
    }
}

/// A time of a manifest.
pub(crate) fn time_of(nanoseconds: i64) -> SystemTime {
    let distance = Duration::from_nanos(nanoseconds.unsigned_abs());
    let time = if nanoseconds < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    };
    time.unwrap_or(UNIX_EPOCH)
}

/// Removes what is to go. A folder in which a job has put something stays.
fn remove(path: &Path) -> io::Result<()> {
    let is_dir = fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    let removed = if is_dir {
        fs::remove_dir(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::DirectoryNotEmpty
                    | io::ErrorKind::ResourceBusy
            ) =>
        {
            Ok(())
        }
        result => result,
    }
}

/// An empty folder gives way to a file or link.
fn clear_folder(path: &Path, found: Option<&fs::Metadata>) -> io::Result<()> {
    if found.is_some_and(fs::Metadata::is_dir) {
        fs::remove_dir(path)?;
    }
    Ok(())
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default();
    let mut own = std::ffi::OsString::from(".skiff-");
    own.push(name);
    // A name of the greatest length is one too long then.
    path.with_file_name(if own.len() > 255 {
        ".skiff-new".into()
    } else {
        own
    })
}

/// Moves a file to another file system: the image or a volume has a part of the tree.
fn carry_over(ready: &Path, path: &Path, mode: u32, modified: i64) -> io::Result<()> {
    let beside = beside(path);
    // One that was left in the midst of this.
    let _ = fs::remove_file(&beside);
    let carried = content::copy(ready, &beside)
        .and_then(|_| furnish(&beside, mode, modified))
        .and_then(|()| fs::rename(&beside, path));
    if carried.is_err() {
        // The half of it is of no use.
        let _ = fs::remove_file(&beside);
    }
    carried
}

/// A record that was brought, for those who only look.
pub(crate) fn entries_of(
    records: &Path,
) -> Result<impl Iterator<Item = io::Result<Entry>> + use<>, SyncError> {
    let read = Records::open(records).map_err(SyncError::read(records))?;
    Ok(read.map(|record| record.map(|Record { entry, .. }| entry)))
}
