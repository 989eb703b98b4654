//! Whether a file is an image archive, looked at before it is sent to every node.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::file::FileError;

/// A file is not an image archive.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is something else.
    #[error(
        "{} is not an image archive: it has neither a manifest.json (docker-archive) nor an \
         index.json (OCI)", .0.display()
    )]
    Other(PathBuf),
    /// The file ends early or cannot be read on.
    #[error("{} cannot be read as a tar archive", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Looks for the index of either kind of archive.
pub(crate) fn check(path: &Path) -> Result<(), ArchiveError> {
    let tar_error = |source: io::Error| match source.kind() {
        // The reader says so of a header that is none, and quotes it at length.
        io::ErrorKind::Other | io::ErrorKind::InvalidData => ArchiveError::Other(path.to_owned()),
        _ => ArchiveError::Broken {
            path: path.to_owned(),
            source,
        },
    };
    let open = || File::open(path).map_err(FileError::at("open", path));
    let mut magic = Vec::new();
    open()?
        .take(4)
        .read_to_end(&mut magic)
        .map_err(FileError::at("read", path))?;
    if magic.starts_with(&[0x1f, 0x8b]) || magic == [0x28, 0xb5, 0x2f, 0xfd] {
        // Compressed: containerd unpacks it, and is the one to complain.
        return Ok(());
    }
    let mut archive = tar::Archive::new(open()?);
    for entry in archive.entries_with_seek().map_err(tar_error)? {
        let entry = entry.map_err(tar_error)?;
        let name = entry.path().map_err(tar_error)?;
        let name = name.strip_prefix("./").unwrap_or(&name);
        if name == Path::new("manifest.json") || name == Path::new("index.json") {
            return Ok(());
        }
    }
    Err(ArchiveError::Other(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar_with(folder: &Path, name: &str) -> PathBuf {
        let path = folder.join("a.tar");
        let mut builder = tar::Builder::new(File::create(&path).unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        builder.append_data(&mut header, name, &b"{}"[..]).unwrap();
        builder.finish().unwrap();
        path
    }

    #[test]
    fn both_kinds_of_archive_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["manifest.json", "index.json"] {
            check(&tar_with(folder.path(), name)).unwrap();
        }
    }

    #[test]
    fn another_tar_and_another_file_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = check(&tar_with(folder.path(), "etc/passwd")).unwrap_err();
        assert!(matches!(error, ArchiveError::Other(_)));
        let text = folder.path().join("b.tar");
        std::fs::write(&text, "this is no archive at all".repeat(100)).unwrap();
        let error = check(&text).unwrap_err();
        assert!(matches!(error, ArchiveError::Other(_)), "{error}");
        assert!(error.to_string().contains("b.tar is not an image archive"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = check(Path::new("/nonexistent/none.tar")).unwrap_err();
        assert_eq!(error.to_string(), "cannot open /nonexistent/none.tar");
    }
}
