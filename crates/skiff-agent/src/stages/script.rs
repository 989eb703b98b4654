//! A stage's script as a file, as long as the stage runs.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use skiff_proto::{StageKind, StageOrder};

use crate::layout::Layout;

/// The file; it goes with this.
#[derive(Debug)]
pub(super) struct Script(PathBuf);

impl Script {
    /// Writes the script of a stage.
    pub(super) fn write(layout: &Layout, order: &StageOrder) -> io::Result<Self> {
        let dir = layout.stage_dir(order.job);
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let script = Self(dir.join(match order.kind {
            StageKind::Setup => "setup.sh",
            StageKind::Run => "run.sh",
        }));
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&script.0)?;
        file.write_all(order.script.as_bytes())?;
        Ok(script)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // What cannot be removed takes its room and does nothing else.
        let _ = fs::remove_file(&self.0);
        if let Some(dir) = self.0.parent() {
            let _ = fs::remove_dir(dir);
        }
    }
}
