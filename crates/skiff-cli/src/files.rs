//! Finds and reads the files that users name, never more of them than makes sense.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use skiff_schema::yaml::MAX_TEXT;

use crate::error::CommandError;

/// How deep folders may lie in each other.
const MAX_DEPTH: usize = 64;

/// A file's bytes; a failure that names it where it cannot be read or is too large to be what it should be.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, CommandError> {
    try_read(path).map_err(|error| cannot_read(path, &error))
}

/// The same for text.
pub(crate) fn read_text(path: &Path) -> Result<String, CommandError> {
    String::from_utf8(read(path)?).map_err(|_| {
        CommandError::failure(
            format!("{} is not valid UTF-8", path.display()),
            Some("save it as UTF-8".to_owned()),
        )
    })
}

/// A file's bytes.
pub(crate) fn try_read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut bytes = Vec::new();
    // A file may grow while it is read, and the size of a pipe is not known.
    file.take(MAX_TEXT as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() <= MAX_TEXT {
        return Ok(bytes);
    }
    let (limit, size) = (MAX_TEXT >> 20, size >> 20);
    let message = if size > 0 {
        format!("the file is larger than {limit} MiB (it has {size} MiB)")
    } else {
        format!("the file is larger than {limit} MiB")
    };
    Err(io::Error::new(io::ErrorKind::FileTooLarge, message))
}

/// Whether a name is one of a YAML file.
pub(crate) fn is_yaml(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending == "yaml" || ending == "yml")
}

/// A file to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    /// Whether it was named itself, not a folder that it is in.
    pub(crate) is_named: bool,
}

/// The named files, and the YAML files in the named folders, in the order of their names.
pub(crate) fn find(paths: &[PathBuf]) -> Result<Vec<Found>, CommandError> {
    let mut found = Vec::new();
    for path in paths {
        let metadata = fs::metadata(path).map_err(|error| cannot_read(path, &error))?;
        if metadata.is_dir() {
            descend(path, 0, &mut found)?;
        } else {
            found.push(Found {
                path: path.clone(),
                is_named: true,
            });
        }
    }
    Ok(found)
}

fn descend(folder: &Path, depth: usize, found: &mut Vec<Found>) -> Result<(), CommandError> {
    let failed = |error: io::Error| cannot_read(folder, &error);
    let mut entries = fs::read_dir(folder)
        .and_then(Iterator::collect::<io::Result<Vec<_>>>)
        .map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let kind = entry.file_type().map_err(failed)?;
        // A link to a folder may lead around in a circle.
        if kind.is_dir() && !is_hidden && depth < MAX_DEPTH {
            descend(&path, depth + 1, found)?;
        } else if !is_hidden && is_yaml(&path) && path.is_file() {
            found.push(Found {
                path,
                is_named: false,
            });
        }
    }
    Ok(())
}

fn cannot_read(path: &Path, error: &io::Error) -> CommandError {
    CommandError::failure(format!("cannot read {}: {error}", path.display()), None)
}
