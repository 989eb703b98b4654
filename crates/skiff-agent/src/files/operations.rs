//! The requests of SFTP, one by one.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::attributes::{self, Wanted};
use super::handles::{Handle, Handles};
use super::{Answer, MAX_DATA, Refusal, extensions};
use crate::ssh::wire::{Reader, Writer};

const HANDLE: u8 = 102;
const DATA: u8 = 103;
const NAME: u8 = 104;
const ATTRIBUTES: u8 = 105;
/// Entries of a folder that are told at once.
const ENTRIES: usize = 100;

/// Does what a request asks for.
pub(super) fn perform(
    kind: u8,
    reader: &mut Reader<'_>,
    handles: &mut Handles,
) -> Result<Answer, Refusal> {
    match kind {
        3 => open(reader, handles),
        4 => done(handles.close(reader)),
        5 => read(reader, handles),
        6 => write(reader, handles),
        7 => Ok(described(&fs::symlink_metadata(path(reader)?)?)),
        8 => Ok(described(&handles.file(reader)?.0.metadata()?)),
        9 => {
            let path = path(reader)?;
            done(Wanted::read(reader)?.apply(path, true))
        }
        10 => {
            let (file, _) = handles.file(reader)?;
            done(Wanted::read(reader)?.apply_to_file(file))
        }
        11 => open_folder(reader, handles),
        12 => list(handles.folder(reader)?),
        13 => done(fs::remove_file(path(reader)?)),
        14 => make_folder(reader),
        15 => done(fs::remove_dir(path(reader)?)),
        16 => Ok(named(&real(path(reader)?)?)),
        17 => Ok(described(&fs::metadata(path(reader)?)?)),
        18 => rename(reader),
        19 => Ok(named(&fs::read_link(path(reader)?)?)),
        20 => {
            // OpenSSH has these the other way round than the draft, and all do as it does.
            let (target, link) = (path(reader)?, path(reader)?);
            done(std::os::unix::fs::symlink(target, link))
        }
        200 => extensions::perform(reader, handles),
        _ => Err(Refusal::Unknown),
    }
}

/// The answer to a request that only is done or not.
pub(super) fn done(result: Result<(), impl Into<Refusal>>) -> Result<Answer, Refusal> {
    result.map(|()| Answer::done()).map_err(Into::into)
}

/// The next path of a request; an empty one is where the session began.
pub(super) fn path<'a>(reader: &mut Reader<'a>) -> Result<&'a Path, Refusal> {
    let bytes = reader.bytes()?;
    let bytes = if bytes.is_empty() { b"." } else { bytes };
    Ok(Path::new(OsStr::from_bytes(bytes)))
}

fn described(metadata: &fs::Metadata) -> Answer {
    let mut body = Vec::new();
    attributes::put(metadata, &mut body);
    Answer::Message(ATTRIBUTES, body)
}

/// One name without attributes.
pub(super) fn named(path: &Path) -> Answer {
    let name = path.as_os_str().as_bytes();
    let mut body = Vec::new();
    body.put_u32(1);
    body.put_bytes(name);
    body.put_bytes(name);
    body.put_u32(0);
    Answer::Message(NAME, body)
}

fn handle(name: [u8; 4]) -> Answer {
    let mut body = Vec::new();
    body.put_bytes(&name);
    Answer::Message(HANDLE, body)
}

fn open(reader: &mut Reader<'_>, handles: &mut Handles) -> Result<Answer, Refusal> {
    const READ: u32 = 1;
    const WRITE: u32 = 2;
    const APPEND: u32 = 4;
    const CREATE: u32 = 8;
    const TRUNCATE: u32 = 16;
    const EXCLUSIVE: u32 = 32;
    let (path, flags) = (path(reader)?, reader.u32()?);
    let wanted = Wanted::read(reader)?;
    let has = |flag| flags & flag != 0;
    let mut options = OpenOptions::new();
    options
        .read(has(READ))
        .write(has(WRITE) && !has(APPEND))
        .append(has(APPEND))
        .truncate(has(TRUNCATE) && !has(APPEND))
        .create(has(CREATE))
        .create_new(has(CREATE) && has(EXCLUSIVE))
        .mode(wanted.mode.unwrap_or(0o666));
    let file = options.open(path)?;
    let appends = has(APPEND);
    handles.insert(Handle::File { file, appends }).map(handle)
}

fn read(reader: &mut Reader<'_>, handles: &Handles) -> Result<Answer, Refusal> {
    let (file, _) = handles.file(reader)?;
    let offset = reader.u64()?;
    let wanted = reader.u32()?.min(MAX_DATA) as usize;
    let mut body = vec![0; 4 + wanted];
    let count = file.read_at(&mut body[4..], offset)?;
    if count == 0 && wanted > 0 {
        return Err(Refusal::Eof);
    }
    body.truncate(4 + count);
    let length = u32::try_from(count).unwrap_or(MAX_DATA);
    body[..4].copy_from_slice(&length.to_be_bytes());
    Ok(Answer::Message(DATA, body))
}

fn write(reader: &mut Reader<'_>, handles: &Handles) -> Result<Answer, Refusal> {
    let (mut file, appends) = handles.file(reader)?;
    let offset = reader.u64()?;
    let bytes = reader.bytes()?;
    done(if appends {
        std::io::Write::write_all(&mut file, bytes)
    } else {
        File::write_all_at(file, bytes, offset)
    })
}

fn open_folder(reader: &mut Reader<'_>, handles: &mut Handles) -> Result<Answer, Refusal> {
    let path = path(reader)?.to_owned();
    let entries = fs::read_dir(&path)?;
    let name = handles.insert(Handle::Folder {
        entries,
        path,
        is_fresh: true,
    })?;
    Ok(handle(name))
}

fn list(folder: &mut Handle) -> Result<Answer, Refusal> {
    let Handle::Folder {
        entries,
        path,
        is_fresh,
    } = folder
    else {
        return Err(Refusal::Malformed);
    };
    let mut names: Vec<Vec<u8>> = Vec::new();
    if std::mem::take(is_fresh) {
        names.extend([b".".to_vec(), b"..".to_vec()]);
    }
    for entry in entries.take(ENTRIES) {
        names.push(entry?.file_name().as_bytes().to_vec());
    }
    if names.is_empty() {
        return Err(Refusal::Eof);
    }
    let mut body = Vec::new();
    body.put_u32(u32::try_from(names.len()).unwrap_or(0));
    for name in names {
        // What has gone meanwhile is told without attributes.
        let metadata = fs::symlink_metadata(path.join(OsStr::from_bytes(&name))).ok();
        body.put_bytes(&name);
        body.put_bytes(&attributes::line(&name, metadata.as_ref()));
        match &metadata {
            Some(metadata) => attributes::put(metadata, &mut body),
            None => body.put_u32(0),
        }
    }
    Ok(Answer::Message(NAME, body))
}

fn make_folder(reader: &mut Reader<'_>) -> Result<Answer, Refusal> {
    let path = path(reader)?;
    let mode = Wanted::read(reader)?.mode.unwrap_or(0o777);
    done(fs::DirBuilder::new().mode(mode).create(path))
}

/// The plain renaming replaces nothing; the extension does.
fn rename(reader: &mut Reader<'_>) -> Result<Answer, Refusal> {
    let (from, to) = (path(reader)?, path(reader)?);
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system can do it at once.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            if fs::symlink_metadata(to).is_ok() {
                return Err(rustix::io::Errno::EXIST.into());
            }
            done(fs::rename(from, to))
        }
        result => done(result),
    }
}

/// The path without links and dots, where its last part may not be there yet.
fn real(path: &Path) -> Result<PathBuf, Refusal> {
    match fs::canonicalize(path) {
        Ok(real) => Ok(real),
        Err(error) => match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) if error.kind() == std::io::ErrorKind::NotFound => {
                let parent = if parent.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    parent
                };
                Ok(fs::canonicalize(parent)?.join(name))
            }
            _ => Err(error.into()),
        },
    }
}
