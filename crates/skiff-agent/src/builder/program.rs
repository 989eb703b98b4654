//! The programs of the builder's image, and the command that starts the builder.

use std::env;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::BuilderError;
use super::sandbox::{Sandbox, USER};
use crate::layout::Layout;
use crate::tools::search;

/// What gives a process users of its own.
const ROOTLESSKIT: &str = "rootlesskit";
/// The builder.
pub(super) const BUILDKITD: &str = "buildkitd";

/// The programs, found.
#[derive(Debug)]
pub(super) struct Program {
    rootlesskit: PathBuf,
}

impl Program {
    pub(super) fn find() -> Result<Self, BuilderError> {
        let find = |name| search(name).ok_or(BuilderError::NoProgram(name));
        find(BUILDKITD)?;
        find("newuidmap")?;
        Ok(Self {
            rootlesskit: find(ROOTLESSKIT)?,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.rootlesskit
    }

    /// The command: the agent within users of its own, which looks around there and becomes the builder.
    pub(super) fn command(
        &self,
        layout: &Layout,
        sandbox: &Sandbox,
        output: io::PipeWriter,
    ) -> io::Result<Command> {
        for variable in ["XDG_RUNTIME_DIR", "TMPDIR"] {
            // Where one cannot be made, the builder says so itself.
            if let Some(folder) = env::var_os(variable) {
                let _ = fs::create_dir_all(folder);
            }
        }
        let mut command = Command::new(&self.rootlesskit);
        command
            .arg(env::current_exe()?)
            .arg("--root")
            .arg(layout.root())
            .arg("inside");
        if sandbox.must_leave_root() {
            command.uid(USER).gid(USER);
        }
        command
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output);
        Ok(command)
    }
}
