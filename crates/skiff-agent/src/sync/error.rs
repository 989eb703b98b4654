//! Why a sync was not taken.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use skiff_proto::{Fault, FaultKind};
use thiserror::Error;

use crate::fault;

/// A sync was not taken.
#[derive(Debug, Error)]
pub(crate) enum SyncError {
    /// The client went before the end: nobody waits for an answer.
    #[error("the connection broke")]
    Broken,
    /// The bytes are no sync.
    #[error("the upload is not what a sync consists of")]
    Malformed(#[source] io::Error),
    /// An entry's path is not one below its root.
    #[error("the upload names {0:?}, which {1}")]
    Name(PathBuf, &'static str),
    /// An entry's path goes through something that is not a folder.
    #[error("the upload writes to {0:?} through something that is not a folder of its own")]
    Through(PathBuf),
    /// A folder of the pod with something of its own in it stands where a file should go.
    #[error(
        "{0:?} is a folder in the pod with files that no sync brought, and no folder here; remove it in the pod, or rename one"
    )]
    InTheWay(PathBuf),
    /// A file's content is not the one that was announced.
    #[error("{0:?} changed while it was synced")]
    Content(PathBuf),
    /// Another sync changed what this one was compared with.
    #[error("another sync of the same files came between")]
    Overtaken,
    /// Something that is needed did not arrive.
    #[error("the upload lacks the content of {0:?}")]
    Lacking(PathBuf),
    /// What lies in the pod cannot be read.
    #[error("cannot read {0:?} in the pod")]
    Read(PathBuf, #[source] io::Error),
    /// The disk did not take something.
    #[error("cannot write {0:?} in the pod")]
    Write(PathBuf, #[source] io::Error),
    /// A worker refused what this node took.
    #[error("{0}: {1}")]
    Node(String, Fault),
    /// A worker is not there.
    #[error("{0} does not take part in the sync: {1}")]
    NodeLost(String, String),
    /// The place of a mount cannot be had.
    #[error("cannot put anything at {0:?} in the pod: {1}")]
    Destination(PathBuf, String),
}

impl SyncError {
    /// Whether the disk had no room.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Write(_, source) if fault::is_full(source))
    }

    /// The refusal as clients get it; None where nobody waits for it.
    pub(crate) fn refusal(&self) -> Option<Fault> {
        let kind = match self {
            Self::Broken => return None,
            Self::Write(_, source) if fault::is_full(source) => FaultKind::DiskFull,
            Self::Node(_, fault) => fault.kind,
            Self::NodeLost(..) => FaultKind::NodeLost,
            Self::Content(_) | Self::Overtaken => FaultKind::Changed,
            Self::Read(..) | Self::Write(..) => FaultKind::System,
            Self::Malformed(_)
            | Self::Name(..)
            | Self::Through(_)
            | Self::InTheWay(_)
            | Self::Lacking(_)
            | Self::Destination(..) => FaultKind::Invalid,
        };
        let message = match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        };
        Some(Fault { kind, message })
    }

    /// For `map_err` on what was read.
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Read(path, error)
    }

    /// For `map_err` on what was written.
    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Write(path, error)
    }
}

/// A path of bytes.
pub(crate) fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
