//! Places that users name for files and folders.
//!
//! What is put there lies in a folder of its own under the shared one, which outlives the container. Where nothing is at
//! the place, it becomes a link to that; a real folder of the image gets copies of the files in it. Both are made again
//! when the container has been restarted.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, access};
use skiff_proto::paths;
use skiff_proto::tree::EntryKind;

use super::compare::{Comparison, Target};
use super::content;
use super::error::{SyncError, path_of};
use super::place::{Placing, entries_of};
use super::staging::{Staging, make_private};
use crate::home::Home;
use crate::layout::Layout;
use crate::report;

/// One place, and where that lies which appears there.
#[derive(Clone, Debug)]
pub(crate) struct Mount {
    /// The place.
    destination: PathBuf,
    /// The tree under the shared folder.
    pub(crate) store: Target,
}

/// What no file of a user's belongs into.
const SYSTEM: [&str; 2] = ["/proc", "/sys"];

/// How something gets to its place.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// By a link.
    Link,
    /// By copies in this folder.
    Merge(PathBuf),
}

impl Mount {
    /// The mount of a place as users write it.
    pub(crate) fn new(layout: &Layout, home: &Home, path: &str) -> Result<Self, SyncError> {
        let mount = Self::at(layout, resolve(home, path)?);
        mount.check_owner(layout, home)?;
        Ok(mount)
    }

    fn at(layout: &Layout, destination: PathBuf) -> Self {
        let id = blake3::hash(destination.as_os_str().as_encoded_bytes()).to_hex();
        let id = &id[..16];
        let store = Target {
            dir: layout.at(paths::MOUNTS).join(id),
            skipped: 0,
            records: layout.at(paths::SYNC).join("records").join(id),
        };
        Self { destination, store }
    }

    /// Makes sure that the place is the user's to fill.
    fn check_owner(&self, layout: &Layout, home: &Home) -> Result<(), SyncError> {
        if let Some(system) = SYSTEM.iter().find(|own| self.destination.starts_with(own)) {
            return Err(self.refused(format!("{system} is the system's own")));
        }
        let mut existing = self.destination.as_path();
        while let Some(above) = existing.parent()
            && fs::metadata(existing).is_err()
        {
            existing = above;
        }
        let real = fs::canonicalize(existing).map_err(SyncError::read(existing))?;
        let is_within =
            |folder: PathBuf| fs::canonicalize(folder).is_ok_and(|folder| real.starts_with(folder));
        let is_free = [
            home.workdir.clone(),
            layout.at(paths::MOUNTS),
            layout.at(paths::HOME),
        ]
        .into_iter()
        .any(is_within);
        if !is_free && is_within(layout.root().to_owned()) {
            let own = layout.root().display();
            return Err(self.refused(format!("{own} is Skiff's own")));
        }
        Ok(())
    }

    /// How deep the place lies.
    pub(crate) fn depth(&self) -> usize {
        self.destination.components().count()
    }

    /// Makes sure that a folder, or a file, can be put at the place, before anything is sent for it.
    pub(crate) fn check(&self, is_folder: bool) -> Result<(), SyncError> {
        match self.way(is_folder)? {
            Way::Merge(folder) => self.check_writable(&folder),
            Way::Link => self
                .folder_above()
                .and_then(|folder| self.check_writable(folder)),
        }
    }

    /// The nearest folder above the place that is there.
    fn folder_above(&self) -> Result<&Path, SyncError> {
        let mut above = self.destination.parent();
        while let Some(folder) = above {
            match fs::metadata(folder) {
                Ok(found) if found.is_dir() => return Ok(folder),
                Ok(_) => return Err(self.refused(format!("{} is no folder", folder.display()))),
                Err(_) => above = folder.parent(),
            }
        }
        Ok(Path::new("/"))
    }

    fn check_writable(&self, folder: &Path) -> Result<(), SyncError> {
        access(folder, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|error| self.refused(format!("{}: {error}", folder.display())))
    }

    fn refused(&self, why: String) -> SyncError {
        SyncError::Destination(self.destination.clone(), why)
    }

    fn way(&self, is_folder: bool) -> Result<Way, SyncError> {
        let is_ours =
            fs::read_link(&self.destination).is_ok_and(|link| link.starts_with(&self.store.dir));
        match fs::metadata(&self.destination) {
            _ if is_ours => Ok(Way::Link),
            Ok(found) if found.is_dir() && is_folder => {
                let folder = fs::canonicalize(&self.destination)
                    .map_err(SyncError::read(&self.destination))?;
                Ok(Way::Merge(folder))
            }
            Ok(found) if found.is_dir() => {
                Err(self
                    .refused("it is a folder, and what is to appear there is a file".to_owned()))
            }
            Ok(_) if is_folder => {
                Err(self
                    .refused("it is a file, and what is to appear there is a folder".to_owned()))
            }
            _ => Ok(Way::Link),
        }
    }

    /// Makes what was synced appear at the place.
    pub(crate) fn appear(&self, layout: &Layout) -> Result<(), SyncError> {
        let Some(Ok(first)) = entries_of(&self.store.records)?.next() else {
            return Ok(());
        };
        match self.way(matches!(first.kind, EntryKind::Folder { .. }))? {
            Way::Link => self.link(&self.store.dir.join(path_of(&first.path))),
            Way::Merge(folder) => self.merge(layout, folder),
        }
    }

    fn link(&self, source: &Path) -> Result<(), SyncError> {
        if fs::read_link(&self.destination).is_ok_and(|link| link == source) {
            return Ok(());
        }
        // The same sync may have brought a file there.
        self.folder_above()?;
        let linked = (|| {
            if let Some(above) = self.destination.parent() {
                fs::create_dir_all(above)?;
            }
            let name = self.destination.file_name().unwrap_or_default();
            let mut fresh = std::ffi::OsString::from(".skiff-");
            fresh.push(name);
            let fresh = self.destination.with_file_name(fresh);
            match fs::remove_file(&fresh) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            symlink(source, &fresh)?;
            fs::rename(&fresh, &self.destination)
        })();
        linked.map_err(|error: io::Error| self.refused(error.to_string()))
    }

    /// Brings a folder of the image to what was synced: as a sync of its own, whose contents are here.
    fn merge(&self, layout: &Layout, folder: PathBuf) -> Result<(), SyncError> {
        let target = Target {
            dir: folder,
            skipped: 1,
            records: self.store.records.with_extension("merged"),
        };
        let staging = Staging::new(layout)?;
        let entries = || entries_of(&self.store.records);
        let mut comparison = Comparison::default();
        comparison.add(&target, entries()?)?;
        for (entry, number) in entries()?.zip(0_u32..) {
            let entry = entry.map_err(SyncError::Malformed)?;
            let EntryKind::File { hash, .. } = &entry.kind else {
                continue;
            };
            let is_wanted = |wanted: &super::compare::Wanted| wanted.entry == number;
            let Some(source) = self.store.path(path_of(&entry.path)) else {
                continue;
            };
            if comparison.wanted.get(hash).is_some_and(is_wanted) {
                let content = staging.content(hash);
                let copied = content::copy(&source, &content).map_err(SyncError::write(&source))?;
                if copied != *hash {
                    return Err(SyncError::Content(source));
                }
            }
        }
        let placing = Placing {
            target: &target,
            entries,
            first: 0,
            comparison: &comparison,
            staging: &staging,
        };
        let prepared = placing.prepare()?;
        placing.place(&prepared)?;
        staging.finish();
        Ok(())
    }

    /// Remembers the place, for an agent in a container that was restarted.
    pub(crate) fn remember(&self) -> Result<(), SyncError> {
        // Other users of the image may look into it too.
        fs::create_dir_all(&self.store.dir).map_err(SyncError::write(&self.store.dir))?;
        if let Some(dir) = self.store.records.parent() {
            make_private(dir).map_err(SyncError::write(dir))?;
        }
        let path = self.store.records.with_extension("mount");
        fs::write(&path, self.destination.as_os_str().as_encoded_bytes())
            .map_err(SyncError::write(&path))
    }
}

/// Where a place is that users write as they do: absolute, below `~`, or relative to the working folder.
fn resolve(home: &Home, path: &str) -> Result<PathBuf, SyncError> {
    let refused = |why: &str| SyncError::Destination(PathBuf::from(path), why.to_owned());
    let written = match path.strip_prefix("~/") {
        Some(below) => home.dir.join(below.trim_start_matches('/')),
        None if path == "~" => home.dir.clone(),
        None => home.workdir.join(path),
    };
    let written = match written.strip_prefix(home.dir.join("sky_workdir")) {
        Ok(below) => home.workdir.join(below),
        Err(_) => written,
    };
    let mut resolved = PathBuf::new();
    for component in written.components() {
        match component {
            Component::ParentDir => return Err(refused("the path contains `..`")),
            Component::CurDir => {}
            component => resolved.push(component),
        }
    }
    if path.contains('\0') || resolved.file_name().is_none() {
        return Err(refused("it is no place for files"));
    }
    Ok(resolved)
}

/// Makes everything appear at its place again, or what is below a folder: after a restart of the container, or where
/// another sync may have put something into the place. What cannot be is told, and the agent goes on.
pub(crate) fn restore(layout: &Layout, below: Option<&Path>) {
    let Ok(records) = fs::read_dir(layout.at(paths::SYNC).join("records")) else {
        return;
    };
    let mut mounts: Vec<Mount> = records
        .flatten()
        .map(|record| record.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "mount"))
        .filter_map(|path| fs::read(path).ok())
        .map(|place| Mount::at(layout, path_of(&place).to_owned()))
        .collect();
    mounts.retain(|mount| below.is_none_or(|folder| mount.destination.starts_with(folder)));
    // One place may lie within another.
    mounts.sort_by_key(Mount::depth);
    for mount in mounts {
        if let Err(error) = mount.appear(layout) {
            report(&format!("what was synced is not at its place: {error}"));
        }
    }
}
