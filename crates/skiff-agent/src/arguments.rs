//! The agent's command line. Must not act on it.

use std::ffi::OsString;
use std::path::PathBuf;

use thiserror::Error;

use crate::layout::Layout;

/// What this process is to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// PID 1 of the task container.
    Run {
        /// What the pod has beside it.
        engine: Option<Engine>,
    },
    /// The bridge between its standard streams and the agent's socket.
    Connect,
    /// The bridge between its standard streams and the agent's SSH server.
    Ssh,
    /// The file server of an SSH session.
    Files,
    /// The wrapper of the Docker daemon.
    Docker {
        /// Whether SIGTERM means nothing before the agent has left.
        until_marker: bool,
    },
    /// The wrapper of the builder without privileges.
    Buildkit {
        /// Whether SIGTERM means nothing before the agent has left.
        until_marker: bool,
    },
    /// The builder's process before it becomes the builder, among its own users.
    Inside,
    /// The copier of the builder's client, beside the builder's start.
    Lend,
    /// A trial of whether build steps can have a `/proc` of their own.
    OwnProc {
        /// Whether this is the first process of its namespace.
        is_first: bool,
    },
    /// The copier of Docker's tools, beside the daemon's start.
    Tools {
        /// Whether it stays until the agent leaves.
        stay: bool,
    },
    /// A job's process before it becomes the job's shell.
    Session {
        /// Whether its standard input is the terminal that it is to control.
        terminal: bool,
        /// The program and its arguments.
        command: Vec<OsString>,
    },
    /// Prints its version.
    Version,
}

/// What makes images in a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// A Docker daemon.
    Daemon,
    /// A builder without privileges.
    Builder,
}

/// The command line, understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// Where the pod's shared folder is.
    pub(crate) layout: Layout,
    /// What to be.
    pub(crate) role: Role,
}

/// The command line is not one of the agent's.
#[derive(Debug, Error)]
pub(crate) enum ArgumentError {
    /// There is no role.
    #[error("no role given: one of run, connect, docker, buildkit, tools, ssh")]
    NoRole,
    /// The role is not known.
    #[error("unknown role {0:?}: one of run, connect, docker, buildkit, tools, ssh")]
    UnknownRole(OsString),
    /// The role does not take this argument.
    #[error("unexpected argument {0:?}")]
    Unexpected(OsString),
    /// An option lacks its value.
    #[error("{0} needs a value")]
    NoValue(&'static str),
}

impl Arguments {
    /// Reads the arguments behind the program's name.
    pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Self, ArgumentError> {
        let mut args = args.peekable();
        let mut layout = Layout::default();
        if args.next_if(|arg| arg == "--root").is_some() {
            layout = Layout::new(PathBuf::from(
                args.next().ok_or(ArgumentError::NoValue("--root"))?,
            ));
        }
        let name = args.next().ok_or(ArgumentError::NoRole)?;
        let role = match name.to_str() {
            Some("run") => Role::Run {
                engine: match args.next_if(|arg| arg == "--docker" || arg == "--buildkit") {
                    Some(arg) if arg == "--docker" => Some(Engine::Daemon),
                    Some(_) => Some(Engine::Builder),
                    None => None,
                },
            },
            Some("connect") => Role::Connect,
            Some("docker") => Role::Docker {
                until_marker: args.next_if(|arg| arg == "--until-marker").is_some(),
            },
            Some("buildkit") => Role::Buildkit {
                until_marker: args.next_if(|arg| arg == "--until-marker").is_some(),
            },
            Some("inside") => Role::Inside,
            Some("lend") => Role::Lend,
            Some("own-proc") => Role::OwnProc {
                is_first: args.next_if(|arg| arg == "--first").is_some(),
            },
            Some("tools") => Role::Tools {
                stay: args.next_if(|arg| arg == "--stay").is_some(),
            },
            Some("ssh") => Role::Ssh,
            Some("files") => Role::Files,
            Some("session") => Role::Session {
                terminal: args.next_if(|arg| arg == "--terminal").is_some(),
                command: args.by_ref().collect(),
            },
            Some("--version") => Role::Version,
            _ => return Err(ArgumentError::UnknownRole(name)),
        };
        match args.next() {
            Some(extra) => Err(ArgumentError::Unexpected(extra)),
            None => Ok(Self { layout, role }),
        }
    }
}
