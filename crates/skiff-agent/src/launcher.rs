//! Runs a dynamic program with the loader and the libraries that came with it: what a link in the tools
//! folder leads to.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use thiserror::Error;

use crate::containers;
use crate::environment::MARK;

/// The agent's name in the tools folder, where it is nothing but the launcher.
pub(crate) const LAUNCHER: &str = "launcher";
/// The folder of the programs' libraries in the tools folder.
pub(crate) const LIBRARIES: &str = "lib";
/// The loader in the tools folder.
pub(crate) const LOADER: &str = "lib/loader";
/// The tool that makes containers.
const DOCKER: &str = "docker";
/// The folder of the programs themselves in the tools folder.
pub(crate) const PROGRAMS: &str = "programs";

/// A tool could not be started.
#[derive(Debug, Error)]
#[error("cannot run {program}")]
pub(crate) struct LaunchError {
    program: PathBuf,
    #[source]
    source: io::Error,
}

/// The tools folder, where this process is the launcher.
pub(crate) fn folder() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    (own.file_name()? == LAUNCHER)
        .then(|| own.parent().map(Path::to_owned))
        .flatten()
}

/// Becomes the tool that the name asks for; returns only where that fails. A job's mark goes to the containers that it
/// makes.
pub(crate) fn become_tool(
    folder: &Path,
    mut arguments: impl Iterator<Item = OsString>,
) -> LaunchError {
    let name = arguments.next().unwrap_or_default();
    let tool = Path::new(&name).file_name().unwrap_or_default();
    let program = folder.join(PROGRAMS).join(tool);
    let mut arguments: Vec<OsString> = arguments.collect();
    if tool == DOCKER
        && let Some(mark) = std::env::var_os(MARK)
    {
        arguments = containers::marked(arguments, &mark);
    }
    let source = Command::new(folder.join(LOADER))
        .arg("--library-path")
        .arg(folder.join(LIBRARIES))
        .arg("--argv0")
        .arg(&name)
        .arg(&program)
        .args(arguments)
        .exec();
    LaunchError { program, source }
}
