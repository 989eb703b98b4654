//! A file system for the daemon's data, made by the image's own program where there is none.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use thiserror::Error;

use crate::cgroup::size;
use crate::sidecar::daemon::find_program;

/// How much of a disk is looked at for signs of use: partition tables, volume managers and all usual file
/// systems have theirs within.
const HEAD: u64 = 1 << 20;
/// The signs of file systems that are mounted as they are: their place, bytes and name.
const SIGNS: [(usize, &[u8], &str); 3] = [
    (0x438, &[0x53, 0xef], "ext4"),
    (0, b"XFSB", "xfs"),
    (0x1_0040, b"_BHRfS_M", "btrfs"),
];

/// A disk cannot be used.
#[derive(Debug, Error)]
pub(super) enum DiskError {
    /// The pod has none.
    #[error("the pod has none")]
    Absent,
    /// It cannot be read or written.
    #[error("cannot use {0}")]
    Access(PathBuf, #[source] io::Error),
    /// Somebody's data is on it.
    #[error(
        "{0} holds data that is no file system of Docker's: it is left as it is; empty it with `wipefs --all`"
    )]
    Foreign(PathBuf),
    /// The program that makes file systems is not there.
    #[error("the sidecar's image has no mke2fs (package e2fsprogs)")]
    NoProgram,
    /// A program of the image failed.
    #[error("{program} failed: {said}")]
    Failed {
        /// Its name.
        program: &'static str,
        /// Its last words.
        said: String,
    },
    /// The kernel does not mount it.
    #[error("cannot mount {0}")]
    Mount(PathBuf, #[source] io::Error),
    /// There is no room for an image.
    #[error("only {} are free, and {} are needed at least", size(*.free), size(*.least))]
    Full {
        /// Bytes that are free.
        free: u64,
        /// Bytes that are needed.
        least: u64,
    },
}

/// What is on a disk.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing at all.
    Nothing,
    /// A file system that the kernel mounts by this name.
    FileSystem(&'static str),
    /// Something else.
    Other,
}

/// Looks at a disk's beginning.
pub(super) fn content(disk: &Path) -> io::Result<Content> {
    let mut head = Vec::new();
    File::open(disk)?.take(HEAD).read_to_end(&mut head)?;
    let sign = SIGNS
        .iter()
        .find(|(at, bytes, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(bytes)));
    Ok(match sign {
        Some((.., name)) => Content::FileSystem(name),
        None if head.iter().all(|byte| *byte == 0) => Content::Nothing,
        None => Content::Other,
    })
}

/// Makes a file system on a disk or in a file of its size. Tables are written when they are first needed:
/// a large disk takes no longer than a small one.
pub(super) fn make(disk: &Path) -> Result<(), DiskError> {
    let program = find_program("mke2fs").ok_or(DiskError::NoProgram)?;
    let mut command = Command::new(program);
    command
        .args(["-q", "-F", "-t", "ext4", "-m", "0"])
        .args(["-E", "lazy_itable_init=1,lazy_journal_init=1"])
        .arg(disk);
    run("mke2fs", command)
}

/// Runs a program to its end.
pub(super) fn run(program: &'static str, mut command: Command) -> Result<(), DiskError> {
    let failed = |said: String| DiskError::Failed { program, said };
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    Err(failed(last.map_or_else(
        || output.status.to_string(),
        |line| line.trim().to_owned(),
    )))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::{Content, DiskError, content, make};

    #[test]
    fn only_what_is_empty_is_taken_for_empty() {
        let dir = tempfile::tempdir().expect("a folder");
        let disk = dir.path().join("disk");
        let file = File::create(&disk).expect("a file");
        file.set_len(32 << 20).expect("sparse");
        assert_eq!(content(&disk).expect("readable"), Content::Nothing);
        make(&disk).expect("mke2fs is part of Debian");
        assert_eq!(
            content(&disk).expect("readable"),
            Content::FileSystem("ext4")
        );
        fs::write(
            &disk,
            [vec![0; 512], b"EFI PART".to_vec(), vec![0; 4096]].concat(),
        )
        .expect("written");
        assert_eq!(content(&disk).expect("readable"), Content::Other);
    }

    #[test]
    fn a_failed_program_is_quoted() {
        let error = make(std::path::Path::new("/not/there")).expect_err("no disk");
        assert!(
            matches!(&error, DiskError::Failed { program: "mke2fs", said } if !said.is_empty()),
            "{error}"
        );
    }
}
