//! Refusals of the system as clients get them.

use std::io;
use std::path::Path;

use skiff_proto::{Fault, FaultKind};

/// Whether the disk had no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// The refusal of what was tried on this path.
pub(crate) fn of(error: &io::Error, tried: &str, path: &Path) -> Fault {
    let kind = if is_full(error) {
        FaultKind::DiskFull
    } else {
        FaultKind::System
    };
    Fault {
        kind,
        message: format!("cannot {tried} at {}: {error}", path.display()),
    }
}
