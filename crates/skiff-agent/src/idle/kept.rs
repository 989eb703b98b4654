//! The policy on disk: a restart of the container must not lose it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use serde::{Deserialize, Serialize};
use skiff_proto::{Autostop, OwnerAccess, WaitFor, paths};

use crate::clock::now_ms;
use crate::layout::Layout;

/// Only the agent's own user reads the file: a token is in it.
const MODE: u32 = 0o600;

/// What a user has said of the cluster's end.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// When; None: never.
    pub(crate) autostop: Option<Autostop>,
    /// With what the agent may delete the cluster then.
    #[serde(default)]
    pub(crate) owner: Option<Box<OwnerAccess>>,
}

/// The same, and since when.
#[derive(Serialize, Deserialize)]
struct Dated {
    #[serde(flatten)]
    kept: Kept,
    /// When it was said, in Unix milliseconds.
    set_ms: u64,
}

/// Keeps a policy, durably, as a whole.
pub(super) fn save(layout: &Layout, kept: Kept) -> io::Result<()> {
    let file = layout.at(paths::AUTOSTOP);
    let fresh = file.with_extension("new");
    let dated = Dated {
        kept,
        set_ms: now_ms(),
    };
    // One that is left of an earlier try might have another mode.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut out = File::options()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(&fresh)?;
    out.write_all(&serde_json::to_vec(&dated)?)?;
    out.sync_data()?;
    fs::rename(fresh, file)
}

/// The kept policy, and how many milliseconds of it have passed: where it waits for work, the restart counts as such.
pub(super) fn load(layout: &Layout) -> (Option<Autostop>, u64) {
    let Some(Dated { kept, set_ms }) = read(layout) else {
        return (None, 0);
    };
    let passed = match kept.autostop {
        Some(autostop) if autostop.wait_for == WaitFor::None => now_ms().saturating_sub(set_ms),
        _ => 0,
    };
    (kept.autostop, passed)
}

/// With what the agent may delete the cluster, where somebody has given it the right.
pub(crate) fn owner(layout: &Layout) -> Option<OwnerAccess> {
    read(layout)?.kept.owner.map(|owner| *owner)
}

fn read(layout: &Layout) -> Option<Dated> {
    let kept = fs::read(layout.at(paths::AUTOSTOP)).ok()?;
    serde_json::from_slice(&kept).ok()
}
