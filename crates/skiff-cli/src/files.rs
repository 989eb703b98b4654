//! Reads the files that users name, never more of them than makes sense.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use skiff_schema::yaml::MAX_TEXT;

use crate::error::CommandError;

/// A file's bytes; a failure that names it where it cannot be read or is too large to be what it should be.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, CommandError> {
    try_read(path).map_err(|error| {
        CommandError::failure(format!("cannot read {}: {error}", path.display()), None)
    })
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
