//! OpenSSH's additions to SFTP, as its `PROTOCOL` file describes them.

use std::ffi::OsString;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfs, fstatvfs, statvfs};

use super::attributes::Wanted;
use super::handles::Handles;
use super::operations::{done, named, path};
use super::{Answer, MAX_DATA, MAX_REQUEST, Refusal};
use crate::passwd;
use crate::ssh::wire::{Reader, Writer};

const VERSION: u8 = 2;
const EXTENDED: u8 = 201;
/// Handles that a client may have open.
const MAX_HANDLES: u64 = 512;

/// Each with its version.
const EXTENSIONS: [(&str, &str); 8] = [
    ("posix-rename@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("hardlink@openssh.com", "1"),
    ("fsync@openssh.com", "1"),
    ("lsetstat@openssh.com", "1"),
    ("limits@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
];

/// The greeting: what this server can beyond the draft. The version itself stands where others have their number.
pub(super) fn version() -> Answer {
    let mut body = Vec::new();
    for (name, version) in EXTENSIONS {
        body.put_bytes(name.as_bytes());
        body.put_bytes(version.as_bytes());
    }
    Answer::Message(VERSION, body)
}

/// Does what a request asks for.
pub(super) fn perform(reader: &mut Reader<'_>, handles: &Handles) -> Result<Answer, Refusal> {
    match reader.bytes()? {
        b"posix-rename@openssh.com" => done(fs::rename(path(reader)?, path(reader)?)),
        b"hardlink@openssh.com" => done(fs::hard_link(path(reader)?, path(reader)?)),
        b"fsync@openssh.com" => done(handles.file(reader)?.0.sync_all()),
        b"statvfs@openssh.com" => Ok(room(&statvfs(path(reader)?)?)),
        b"fstatvfs@openssh.com" => Ok(room(&fstatvfs(handles.file(reader)?.0.as_fd())?)),
        b"lsetstat@openssh.com" => {
            let path = path(reader)?;
            done(Wanted::read(reader)?.apply(path, false))
        }
        b"limits@openssh.com" => {
            let (packet, data) = (MAX_REQUEST as u64, u64::from(MAX_DATA));
            Ok(numbers(&[packet, data, data, MAX_HANDLES]))
        }
        b"expand-path@openssh.com" => {
            let expanded = expand(path(reader)?).ok_or(rustix::io::Errno::NOENT)?;
            Ok(named(&expanded))
        }
        _ => Err(Refusal::Unknown),
    }
}

fn numbers(numbers: &[u64]) -> Answer {
    let mut body = Vec::new();
    for number in numbers {
        body.put_u64(*number);
    }
    Answer::Message(EXTENDED, body)
}

fn room(of: &StatVfs) -> Answer {
    // Bits of the protocol: read-only, no set-uid.
    let mut flags = 0;
    if of.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        flags |= 1;
    }
    if of.f_flag.contains(rustix::fs::StatVfsMountFlags::NOSUID) {
        flags |= 2;
    }
    numbers(&[
        of.f_bsize,
        of.f_frsize,
        of.f_blocks,
        of.f_bfree,
        of.f_bavail,
        of.f_files,
        of.f_ffree,
        of.f_favail,
        of.f_fsid,
        flags,
        of.f_namemax,
    ])
}

/// `~` and `~user` become home folders, relative paths absolute.
fn expand(path: &Path) -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(PathBuf::from);
    let mut parts = path.components();
    let first = parts
        .next()
        .map(|part| part.as_os_str().as_bytes().to_vec());
    match first.as_deref() {
        Some(b"~") => Some(home()?.join(parts.as_path())),
        Some([b'~', name @ ..]) => {
            let name = OsString::from(std::str::from_utf8(name).ok()?);
            let account = passwd::named(Path::new("/etc/passwd"), name.to_str()?)?;
            Some(account.home.join(parts.as_path()))
        }
        _ if path.is_absolute() => Some(path.to_owned()),
        _ => Some(std::env::current_dir().ok()?.join(path)),
    }
}
