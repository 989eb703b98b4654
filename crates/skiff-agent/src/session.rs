//! A job's or an SSH session's process before it is the shell: it leaves the agent's session, takes its terminal, then
//! becomes the shell.
//!
//! A process of its own, because code between fork and exec cannot be written without `unsafe`.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use thiserror::Error;

/// The job's shell could not be started.
#[derive(Debug, Error)]
pub(crate) enum SessionError {
    /// There is no command.
    #[error("no command given")]
    NoCommand,
    /// The system refused a new session.
    #[error("cannot start a session")]
    Session(#[source] io::Error),
    /// The system refused the terminal.
    #[error("cannot take the terminal")]
    Terminal(#[source] io::Error),
    /// The system refused the program.
    #[error("cannot run {0:?}")]
    Exec(OsString, #[source] io::Error),
}

/// Starts a session, with standard input as its terminal where there is to be one, and becomes the command; returns
/// only where that fails.
pub(crate) fn become_command(command: &[OsString], terminal: bool) -> SessionError {
    let Some((program, arguments)) = command.split_first() else {
        return SessionError::NoCommand;
    };
    if let Err(error) = rustix::process::setsid() {
        return SessionError::Session(error.into());
    }
    if terminal && let Err(error) = rustix::process::ioctl_tiocsctty(io::stdin()) {
        return SessionError::Terminal(error.into());
    }
    SessionError::Exec(
        program.clone(),
        Command::new(program).args(arguments).exec(),
    )
}
