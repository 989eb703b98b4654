//! The policy on disk: a restart of the container must not lose it.

use std::fs::{self, File};
use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use skiff_proto::{Autostop, WaitFor, paths};

use crate::clock::now_ms;
use crate::layout::Layout;

/// What is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    autostop: Option<Autostop>,
    /// When it was said, in Unix milliseconds.
    set_ms: u64,
}

/// Keeps a policy, durably, as a whole.
pub(super) fn save(layout: &Layout, autostop: Option<Autostop>) -> io::Result<()> {
    let file = layout.at(paths::AUTOSTOP);
    let fresh = file.with_extension("new");
    let kept = Kept {
        autostop,
        set_ms: now_ms(),
    };
    let mut out = File::create(&fresh)?;
    out.write_all(&serde_json::to_vec(&kept)?)?;
    out.sync_data()?;
    fs::rename(fresh, file)
}

/// The kept policy, and how many milliseconds of it have passed: where it waits for work, the restart counts as such.
pub(super) fn load(layout: &Layout) -> (Option<Autostop>, u64) {
    let kept = fs::read(layout.at(paths::AUTOSTOP)).ok();
    let kept: Option<Kept> = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let Some(kept) = kept else {
        return (None, 0);
    };
    let passed = match kept.autostop {
        Some(autostop) if autostop.wait_for == WaitFor::None => {
            now_ms().saturating_sub(kept.set_ms)
        }
        _ => 0,
    };
    (kept.autostop, passed)
}
