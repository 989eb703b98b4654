//! Where things are: the repository, Cargo's output, and Skiff's folder in the user's home.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The version of Skiff, of its images and of this task.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The places that the tasks read and write.
pub(crate) struct Project {
    /// The root of the repository.
    pub(crate) root: PathBuf,
    /// Cargo's output folder.
    pub(crate) target: PathBuf,
    /// Skiff's folder: `SKIFF_HOME`, else `~/.skiff`.
    pub(crate) home: PathBuf,
}

impl Project {
    /// Finds the places from the environment and from where this task was compiled.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask has no parent folder")?
            .to_path_buf();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(target) => env::current_dir()?.join(target),
            None => root.join("target"),
        };
        let home = match env::var_os("SKIFF_HOME") {
            Some(home) => env::current_dir()?.join(home),
            None => env::home_dir()
                .context("the user has no home folder; set SKIFF_HOME")?
                .join(".skiff"),
        };
        Ok(Self { root, target, home })
    }

    /// A `cargo` that works in the repository.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target);
        command
    }

    /// A folder under Skiff's home for what is being made, on the same disk as the result.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.home.join("build").join(name)
    }

    /// Waits until no other task makes the same thing, and keeps others out until it is dropped.
    pub(crate) fn lock(&self, name: &str) -> Result<File> {
        let file = self.scratch(&format!("{name}.lock"));
        let locking = || format!("cannot lock {}", file.display());
        fs::create_dir_all(self.home.join("build")).with_context(locking)?;
        let lock = File::create(&file).with_context(locking)?;
        lock.lock().with_context(locking)?;
        Ok(lock)
    }

    /// Where the image archives lie.
    pub(crate) fn images(&self) -> PathBuf {
        self.home.join("images")
    }

    /// Where the Kubernetes versions lie, each with a folder `bin`.
    pub(crate) fn kubernetes(&self) -> PathBuf {
        self.home.join("kubernetes")
    }
}
