//! Unpacks an archive beside the working folder and moves it into place.
//!
//! Nothing is written outside the two folders, whatever the archive says: links in it are kept as they
//! are and never followed. Files of the working folder that the archive does not name stay.

use std::fs::{self, File, FileTimes, Metadata, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use tar::{Archive, Entry, EntryType};
use thiserror::Error;

/// An archive was not taken.
#[derive(Debug, Error)]
pub(crate) enum UnpackError {
    /// The bytes are not a whole tar archive.
    #[error("the upload is not a whole archive")]
    Archive(#[source] io::Error),
    /// An entry's path leaves the working folder.
    #[error("the upload names {0:?}, which is outside the working folder")]
    Outside(PathBuf),
    /// An entry's path goes through something that is not a folder.
    #[error("the upload writes to {0:?} through a link or a file")]
    Through(PathBuf),
    /// An entry is not a file, a folder or a symbolic link.
    #[error("the upload holds {0:?}, which is {1}")]
    Kind(PathBuf, &'static str),
    /// A folder of the pod with something in it stands where a file should go.
    #[error(
        "{0:?} is a folder in the pod and not in the upload; remove it in the pod, or rename one"
    )]
    InTheWay(PathBuf),
    /// The disk did not take an entry.
    #[error("cannot write {0:?} of the upload")]
    Write(PathBuf, #[source] io::Error),
    /// An entry could not be moved to its place.
    #[error("cannot place {0:?} in the working folder")]
    Place(PathBuf, #[source] io::Error),
}

/// Unpacks the archive into a new folder.
pub(crate) fn unpack(reader: &mut impl Read, staging: &Path) -> Result<(), UnpackError> {
    let write_error = |error| UnpackError::Write(PathBuf::from("."), error);
    match fs::remove_dir_all(staging) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(write_error(error)),
        _ => {}
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(staging)
        .map_err(write_error)?;
    let mut archive = Archive::new(&mut *reader);
    for entry in archive.entries().map_err(UnpackError::Archive)? {
        unpack_entry(&mut entry.map_err(UnpackError::Archive)?, staging)?;
    }
    // The archive's end is not the upload's: a connection that breaks between is a broken upload.
    io::copy(reader, &mut io::sink()).map_err(UnpackError::Archive)?;
    Ok(())
}

fn unpack_entry(entry: &mut Entry<'_, impl Read>, staging: &Path) -> Result<(), UnpackError> {
    let named = entry.path().map_err(UnpackError::Archive)?.into_owned();
    let path = inside(&named)?;
    let mode = entry.header().mode().map_err(UnpackError::Archive)?;
    let kind = entry.header().entry_type();
    if path.as_os_str().is_empty() {
        return match kind {
            EntryType::Directory => Ok(()),
            _ => Err(UnpackError::Outside(named)),
        };
    }
    let target = staging.join(&path);
    make_parents(staging, &path)?;
    let write_error = |error| UnpackError::Write(path.clone(), error);
    match kind {
        EntryType::Directory => make_dir(&target, &path, mode),
        EntryType::Symlink => {
            let link = entry.link_name().map_err(UnpackError::Archive)?;
            let link = link.ok_or_else(|| UnpackError::Kind(path.clone(), "a link to nothing"))?;
            clear(&target, &path)?;
            symlink(link, &target).map_err(write_error)
        }
        EntryType::Regular | EntryType::Continuous => {
            clear(&target, &path)?;
            let modified = entry.header().mtime().map_err(UnpackError::Archive)?;
            let file = File::options()
                .write(true)
                .create_new(true)
                .mode(mode & 0o777)
                .open(&target);
            let mut file = file.map_err(write_error)?;
            copy(entry, &mut file, &path)?;
            let modified = UNIX_EPOCH + Duration::from_secs(modified.min(u64::from(u32::MAX) * 64));
            file.set_permissions(Permissions::from_mode(mode & 0o777))
                .map_err(write_error)?;
            file.set_times(FileTimes::new().set_modified(modified))
                .map_err(write_error)
        }
        EntryType::XGlobalHeader => Ok(()),
        EntryType::Link => Err(UnpackError::Kind(path, "a hard link")),
        EntryType::Char | EntryType::Block => Err(UnpackError::Kind(path, "a device")),
        EntryType::Fifo => Err(UnpackError::Kind(path, "a named pipe")),
        _ => Err(UnpackError::Kind(
            path,
            "neither a file, a folder nor a symbolic link",
        )),
    }
}

/// The path with `.` left out; an error where it could lead out of the folder it is joined to.
fn inside(path: &Path) -> Result<PathBuf, UnpackError> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(UnpackError::Outside(path.to_owned()));
            }
        }
    }
    Ok(clean)
}

/// Makes the folders above an entry, none of which may be anything else.
fn make_parents(staging: &Path, path: &Path) -> Result<(), UnpackError> {
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    let mut at = staging.to_owned();
    for name in parent {
        at.push(name);
        match fs::symlink_metadata(&at) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(UnpackError::Through(path.to_owned())),
            Err(_) => {
                fs::create_dir(&at).map_err(|error| UnpackError::Write(path.to_owned(), error))?;
            }
        }
    }
    Ok(())
}

fn make_dir(target: &Path, path: &Path, mode: u32) -> Result<(), UnpackError> {
    let write_error = |error| UnpackError::Write(path.to_owned(), error);
    if !fs::symlink_metadata(target).is_ok_and(|metadata| metadata.is_dir()) {
        clear(target, path)?;
        fs::create_dir(target).map_err(write_error)?;
    }
    // The owner must be able to put files there, now and with the next upload.
    fs::set_permissions(target, Permissions::from_mode(mode & 0o777 | 0o700)).map_err(write_error)
}

/// Removes an earlier entry of the same name; an archive may hold a file twice.
fn clear(target: &Path, path: &Path) -> Result<(), UnpackError> {
    match fs::symlink_metadata(target) {
        Ok(metadata) if metadata.is_dir() => Err(UnpackError::Through(path.to_owned())),
        Ok(_) => {
            fs::remove_file(target).map_err(|error| UnpackError::Write(path.to_owned(), error))
        }
        Err(_) => Ok(()),
    }
}

/// Copies an entry's content, telling the archive's faults from the disk's.
fn copy(from: &mut impl Read, to: &mut File, path: &Path) -> Result<(), UnpackError> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to
                .write_all(&buffer[..count])
                .map_err(|error| UnpackError::Write(path.to_owned(), error))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(UnpackError::Archive(error)),
        }
    }
}

/// Moves everything that was unpacked to its place. Looks first whether all of it has a place, so that
/// a conflict leaves the working folder as it was.
pub(crate) fn place(staging: &Path, workdir: &Path) -> Result<(), UnpackError> {
    let place_error = |error| UnpackError::Place(PathBuf::from("."), error);
    fs::create_dir_all(workdir).map_err(place_error)?;
    let mover = Mover { staging, workdir };
    mover.walk(Path::new(""), Mover::check)?;
    mover.walk(Path::new(""), Mover::settle)
}

struct Mover<'a> {
    staging: &'a Path,
    workdir: &'a Path,
}

/// Whether to look into a folder of the staging.
type Visit<'a> = fn(&Mover<'a>, &Path, &Metadata) -> Result<bool, UnpackError>;

impl<'a> Mover<'a> {
    fn walk(&self, below: &Path, visit: Visit<'a>) -> Result<(), UnpackError> {
        let place_error = |error| UnpackError::Place(below.to_owned(), error);
        for entry in fs::read_dir(self.staging.join(below)).map_err(place_error)? {
            let entry = entry.map_err(place_error)?;
            let path = below.join(entry.file_name());
            let metadata = entry.metadata().map_err(place_error)?;
            if visit(self, &path, &metadata)? {
                self.walk(&path, visit)?;
            }
        }
        Ok(())
    }

    /// A folder meets a folder: look deeper. A file must not meet a folder that holds something.
    fn check(&self, path: &Path, new: &Metadata) -> Result<bool, UnpackError> {
        let target = self.workdir.join(path);
        let is_dir = fs::symlink_metadata(&target).is_ok_and(|old| old.is_dir());
        let holds = || fs::read_dir(&target).is_ok_and(|mut entries| entries.next().is_some());
        if is_dir && !new.is_dir() && holds() {
            return Err(UnpackError::InTheWay(path.to_owned()));
        }
        Ok(is_dir && new.is_dir())
    }

    fn settle(&self, path: &Path, new: &Metadata) -> Result<bool, UnpackError> {
        let (source, target) = (self.staging.join(path), self.workdir.join(path));
        let place_error = |error| UnpackError::Place(path.to_owned(), error);
        match fs::symlink_metadata(&target) {
            Ok(old) if old.is_dir() && new.is_dir() => {
                fs::set_permissions(&target, new.permissions()).map_err(place_error)?;
                return Ok(true);
            }
            Ok(old) if old.is_dir() => fs::remove_dir(&target).map_err(place_error)?,
            Ok(_) if new.is_dir() => fs::remove_file(&target).map_err(place_error)?,
            _ => {}
        }
        match fs::rename(&source, &target) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                carry_over(&source, &target, new).map_err(place_error)
            }
            result => result.map(|()| false).map_err(place_error),
        }
    }
}

/// Moves an entry to another file system, where the image or a volume has a part of the working folder.
/// True for a folder, whose content is still to be moved.
fn carry_over(source: &Path, target: &Path, new: &Metadata) -> io::Result<bool> {
    if new.is_dir() {
        fs::create_dir(target)?;
        fs::set_permissions(target, new.permissions())?;
        return Ok(true);
    }
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let beside = target.with_file_name(format!(".{name}.skiff"));
    let copied = (|| {
        if new.is_symlink() {
            symlink(fs::read_link(source)?, &beside)?;
        } else {
            fs::copy(source, &beside)?;
            File::options()
                .write(true)
                .open(&beside)?
                .set_times(FileTimes::new().set_modified(new.modified()?))?;
        }
        fs::rename(&beside, target)
    })();
    if copied.is_err() {
        // The half of it is of no use.
        let _ = fs::remove_file(&beside);
    }
    copied.map(|()| false)
}
