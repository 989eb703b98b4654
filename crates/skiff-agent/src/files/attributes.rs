//! A file's attributes as SFTP writes them, and as a client wants them to be.

use std::fs::Metadata;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Gid, Mode, Timespec, Timestamps, Uid};
use rustix::fs::{chmod, chownat, fchmod, fchown, ftruncate, futimens, utimensat};

use super::Refusal;
use crate::ssh::wire::{Malformed, Reader, Writer};

const SIZE: u32 = 1;
const OWNERS: u32 = 2;
const MODE: u32 = 4;
const TIMES: u32 = 8;
const EXTENDED: u32 = 0x8000_0000;

/// What a client wants of a file's attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    size: Option<u64>,
    owners: Option<(u32, u32)>,
    /// The mode's 12 bits.
    pub(super) mode: Option<u32>,
    times: Option<(u32, u32)>,
}

impl Wanted {
    /// Reads what stands in a request.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let flags = reader.u32()?;
        let mut wanted = Self::default();
        if flags & SIZE != 0 {
            wanted.size = Some(reader.u64()?);
        }
        if flags & OWNERS != 0 {
            wanted.owners = Some((reader.u32()?, reader.u32()?));
        }
        if flags & MODE != 0 {
            wanted.mode = Some(reader.u32()? & 0o7777);
        }
        if flags & TIMES != 0 {
            wanted.times = Some((reader.u32()?, reader.u32()?));
        }
        if flags & EXTENDED != 0 {
            for _ in 0..reader.u32()? {
                reader.bytes()?;
                reader.bytes()?;
            }
        }
        Ok(wanted)
    }

    fn timestamps(&self) -> Option<Timestamps> {
        let time = |seconds: u32| Timespec {
            tv_sec: seconds.into(),
            tv_nsec: 0,
        };
        self.times.map(|(access, change)| Timestamps {
            last_access: time(access),
            last_modification: time(change),
        })
    }

    /// Gives an open file what is wanted.
    pub(super) fn apply_to_file(&self, file: impl AsFd) -> Result<(), Refusal> {
        if let Some(size) = self.size {
            ftruncate(&file, size)?;
        }
        if let Some((user, group)) = self.owners {
            fchown(&file, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?;
        }
        if let Some(mode) = self.mode {
            fchmod(&file, Mode::from_raw_mode(mode))?;
        }
        if let Some(times) = self.timestamps() {
            futimens(&file, &times)?;
        }
        Ok(())
    }

    /// Gives what a path leads to what is wanted; the link itself where links are not followed.
    pub(super) fn apply(&self, path: &Path, follow: bool) -> Result<(), Refusal> {
        let flags = if follow {
            AtFlags::empty()
        } else {
            AtFlags::SYMLINK_NOFOLLOW
        };
        if let Some(size) = self.size.filter(|_| follow) {
            let file = std::fs::File::options().write(true).open(path)?;
            ftruncate(&file, size)?;
        }
        if let Some((user, group)) = self.owners {
            let (user, group) = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
            chownat(CWD, path, user, group, flags)?;
        }
        // Linux' links have no mode of their own.
        if let Some(mode) = self.mode.filter(|_| follow) {
            chmod(path, Mode::from_raw_mode(mode))?;
        }
        if let Some(times) = self.timestamps() {
            utimensat(CWD, path, &times, flags)?;
        }
        Ok(())
    }
}

/// Appends a file's attributes.
pub(super) fn put(metadata: &Metadata, out: &mut Vec<u8>) {
    let seconds = |time: i64| u32::try_from(time.max(0)).unwrap_or(u32::MAX);
    out.put_u32(SIZE | OWNERS | MODE | TIMES);
    out.put_u64(metadata.size());
    out.put_u32(metadata.uid());
    out.put_u32(metadata.gid());
    out.put_u32(metadata.mode());
    out.put_u32(seconds(metadata.atime()));
    out.put_u32(seconds(metadata.mtime()));
}

/// One line as `ls -l` would print it, for clients that show it as it is.
pub(super) fn line(name: &[u8], metadata: Option<&Metadata>) -> Vec<u8> {
    let mut line = metadata.map_or_else(Vec::new, |metadata| {
        let mode = metadata.mode();
        let kind = match mode & 0o170_000 {
            0o040_000 => 'd',
            0o120_000 => 'l',
            0o020_000 => 'c',
            0o060_000 => 'b',
            0o010_000 => 'p',
            0o140_000 => 's',
            _ => '-',
        };
        let rights: String = (0..9)
            .map(|bit| {
                let letter = ['r', 'w', 'x'][bit % 3];
                if mode & (0o400 >> bit) == 0 {
                    '-'
                } else {
                    letter
                }
            })
            .collect();
        format!(
            "{kind}{rights} {:>4} {:<8} {:<8} {:>8} {} ",
            metadata.nlink(),
            metadata.uid(),
            metadata.gid(),
            metadata.size(),
            day(metadata.mtime()),
        )
        .into_bytes()
    });
    line.extend_from_slice(name);
    line
}

/// A day, of seconds since 1970.
fn day(seconds: i64) -> String {
    crate::clock::stamp(u64::try_from(seconds.max(0)).unwrap_or(0) * 1000)
        .chars()
        .take(10)
        .collect()
}
