//! What a process was started from, as one short text: a process whose origin is another than the one
//! it would have now is out of date.

use std::{ffi::OsString, fs, os::unix::fs::MetadataExt, path::Path};

/// The digest of a command line, the content of the settings file that it reads, and which
/// executable the first word is.
pub(crate) fn origin(command: &[OsString], settings: Option<&Path>) -> String {
    let mut hasher = blake3::Hasher::new();
    for word in command {
        hasher.update(word.as_encoded_bytes());
        hasher.update(&[0]);
    }
    // What cannot be read now is told when the process that needs it starts.
    if let Some(content) = settings.and_then(|path| fs::read(path).ok()) {
        hasher.update(&content);
    }
    if let Some(metadata) = command
        .first()
        .and_then(|program| fs::metadata(program).ok())
    {
        for number in [metadata.dev(), metadata.ino(), metadata.size()] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(&metadata.mtime().to_le_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_makes_another_origin_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("settings"), "a").unwrap();
        fs::write(path("program"), "1").unwrap();
        let of = |words: &[&str]| {
            let words = words.iter().map(OsString::from);
            let command: Vec<OsString> =
                [path("program").into()].into_iter().chain(words).collect();
            origin(&command, Some(&path("settings")))
        };
        let first = of(&["a", "b"]);
        assert_eq!(of(&["a", "b"]), first);
        assert_ne!(of(&["ab"]), first);
        fs::write(path("settings"), "b").unwrap();
        let second = of(&["a", "b"]);
        assert_ne!(second, first);
        fs::write(path("program"), "22").unwrap();
        assert_ne!(of(&["a", "b"]), second);
    }
}
