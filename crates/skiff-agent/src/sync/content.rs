//! Contents of files: hashed, copied and written with holes where there are only zeros.

use std::fs::{File, FileTimes, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::SystemTime;

use skiff_proto::tree::ContentHash;

/// Bytes that are read at once.
pub(crate) const BUFFER: usize = 64 << 10;
/// What becomes a hole, at least: a page of most file systems.
const PAGE: usize = 4 << 10;

/// Writes a file with holes in the place of pages of zeros.
pub(crate) struct SparseFile {
    file: File,
    at: u64,
    /// Its length on disk, which lacks the holes at its end.
    length: u64,
}

impl SparseFile {
    /// Goes on at the end of a file, which is made where it does not exist.
    pub(crate) fn append(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let at = file.metadata()?.len();
        Ok(Self {
            file,
            at,
            length: at,
        })
    }

    /// Writes some bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for page in runs(bytes) {
            if !is_zero(page) || page.len() < PAGE {
                self.file.write_all_at(page, self.at)?;
                self.length = self.at + page.len() as u64;
            }
            self.at += page.len() as u64;
        }
        Ok(())
    }

    /// Gives the file its length, holes at its end included.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        if self.length != self.at {
            self.file.set_len(self.at)?;
            self.length = self.at;
        }
        Ok(())
    }

    /// Gives the file, which is whole now, its permissions and its time, unless its owner could not get at it any more.
    pub(crate) fn furnish(&self, mode: u32, modified: SystemTime) -> io::Result<()> {
        if mode & 0o600 != 0o600 {
            return Ok(());
        }
        self.file
            .set_times(FileTimes::new().set_modified(modified))?;
        self.file
            .set_permissions(Permissions::from_mode(mode & 0o777))
    }

    /// Reads what is there into a hasher.
    pub(crate) fn hash_into(&mut self, hasher: &mut blake3::Hasher) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut rest = (&mut self.file).take(self.at);
        each_buffer(&mut rest, |bytes| {
            hasher.update(bytes);
            Ok(())
        })
    }
}

impl Drop for SparseFile {
    fn drop(&mut self) {
        // What arrived before a connection broke counts, with the holes at its end.
        let _ = self.finish();
    }
}

/// The hash of a file's content. A link is not followed.
pub(crate) fn hash_of(path: &Path) -> io::Result<ContentHash> {
    let mut hasher = blake3::Hasher::new();
    each_buffer(&mut open(path)?, |bytes| {
        hasher.update(bytes);
        Ok(())
    })?;
    Ok(*hasher.finalize().as_bytes())
}

/// Copies a file to a new one; gives the hash of what was copied.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<ContentHash> {
    let mut source = open(from)?;
    let mut hasher = blake3::Hasher::new();
    let mut target = SparseFile::append(to)?;
    each_buffer(&mut source, |bytes| {
        hasher.update(bytes);
        target.write(bytes)
    })?;
    target.finish()?;
    Ok(*hasher.finalize().as_bytes())
}

/// Opens a file for reading that is no link; a named pipe does not make it wait.
fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

fn each_buffer(
    reader: &mut impl Read,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => take(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Cuts bytes where pages of zeros begin and end.
fn runs(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let mut pages = rest.chunks(PAGE);
        let first = pages.next()?;
        let kind = is_zero(first);
        let same: usize = pages
            .take_while(|page| is_zero(page) == kind)
            .map(<[u8]>::len)
            .sum();
        let (run, after) = rest.split_at(first.len() + same);
        rest = after;
        Some(run)
    })
}

fn is_zero(bytes: &[u8]) -> bool {
    // The comparison of whole words that the library has for slices is many times faster than a look at each byte.
    static ZEROS: [u8; PAGE] = [0; PAGE];
    bytes.chunks(PAGE).all(|page| page == &ZEROS[..page.len()])
}
