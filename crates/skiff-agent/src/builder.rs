//! The wrapper of the builder that has no privileges: looks whether the pod lets it work, starts it, shows its socket
//! once it answers, and stays with it until the agent leaves.
//!
//! Exits with 0 only after the agent's marker; with another code on every other end, so that the kubelet starts the
//! builder again. Runs as an ordinary user, or as the root of a pod that has users of its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode};

use skiff_proto::paths;
use thiserror::Error;

use crate::docker_report::{DockerReport, Phase, log_tail};
use crate::layout::Layout;
use crate::sidecar::SidecarError;
use crate::sidecar::daemon_log::Log;
use crate::sidecar::data_lock::{DataLock, LockError};
use crate::sidecar::settings::{self, SettingsError};
use crate::wish::Ending;
use crate::{OWN, report, start_beside};

pub(crate) mod buildx;
mod configuration;
pub(crate) mod folder;
pub(crate) mod http2;
pub(crate) mod inside;
mod known;
mod layers;
mod leftovers;
mod program;
mod sandbox;
pub(crate) mod stand_in;
mod supervise;

use program::Program;
use sandbox::{Refusal, Sandbox};
use supervise::Prepared;

/// The wrapper cannot go on.
#[derive(Debug, Error)]
pub(crate) enum BuilderError {
    /// What the sidecar is told makes no sense to it.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A folder or file cannot be prepared.
    #[error("cannot prepare {0}")]
    Folder(PathBuf, #[source] io::Error),
    /// The pod does not let it work.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What was found within the builder's own users.
    #[error("{0}")]
    Inside(String),
    /// Another builder has the data.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The image lacks a program.
    #[error(
        "no {0} on the image's PATH: `kubernetes.images.buildkit` must name a rootless image of BuildKit, such as \
         `moby/buildkit:v0.28.0-rootless`"
    )]
    NoProgram(&'static str),
    /// A program cannot be started.
    #[error("cannot run {0}")]
    Start(PathBuf, #[source] io::Error),
    /// The log cannot be kept.
    #[error(transparent)]
    Log(#[from] SidecarError),
    /// The runtime cannot start.
    #[error("cannot supervise the builder")]
    Supervise(#[source] io::Error),
}

/// Runs the wrapper. With `until_marker` a SIGTERM before the agent's marker is ignored: in a pod without native
/// sidecars it comes to all containers at once, and the jobs still build.
pub(crate) fn run(layout: &Layout, until_marker: bool) -> Result<ExitCode, BuilderError> {
    share_folders(layout)?;
    if layout.at(paths::LEAVE_MARKER).exists() {
        return Ok(ExitCode::SUCCESS);
    }
    let mut state = DockerReport::default();
    state.tell(layout);
    let result = prepare(&mut state, layout)
        .and_then(|prepared| supervise::supervise(prepared, &mut state, layout, until_marker));
    if let Ok(Ending::Died(code)) = &result {
        let found = known::explain(&log_tail(layout));
        let ended = format!("BuildKit ended with code {code}");
        let cause = found.map_or_else(|| ended.clone(), |found| format!("{ended}: {found}"));
        // One that has never answered will not do so at its next start either.
        let has_worked = state.phase == Phase::Started;
        let phase = if has_worked {
            Phase::Died
        } else {
            Phase::Unusable
        };
        (state.phase, state.cause) = (phase, Some(cause));
    }
    state.close(&result);
    state.tell(layout);
    let ending = result?;
    if matches!(ending, Ending::Died(_)) {
        report(&log_tail(layout));
        let cause = state.cause.unwrap_or_default();
        report(&format!("skiff-agent buildkit: {cause}"));
    }
    Ok(ending.code())
}

/// Makes everything ready that the builder needs, and says in the report what was found.
fn prepare(state: &mut DockerReport, layout: &Layout) -> Result<Prepared, BuilderError> {
    let settings = settings::read()?;
    let sandbox = Sandbox::of(Path::new("/"));
    state.user_namespace = Some(sandbox.users_text());
    let program = Program::find()?;
    sandbox.check()?;
    let data = Path::new(paths::BUILDKIT_DATA);
    let lock = settings
        .cache_holder
        .as_deref()
        .map(|holder| {
            let is_over = || layout.at(paths::LEAVE_MARKER).exists();
            DataLock::take(data, holder, &is_over)
        })
        .transpose()?;
    sandbox.give_users()?;
    let lending = lend_client(layout)?;
    let own = layout.at(paths::BUILDER);
    make_private(&own).map_err(|error| BuilderError::Folder(own.clone(), error))?;
    let file = configuration::path(layout);
    fs::write(&file, configuration::of(&settings, layout))
        .map_err(|error| BuilderError::Folder(file, error))?;
    Ok(Prepared {
        program,
        log: Log::begin(layout)?,
        lending,
        lock,
        sandbox,
    })
}

/// Starts to copy the builder's client to the task, while the builder starts.
fn lend_client(layout: &Layout) -> Result<Child, BuilderError> {
    start_beside(layout, "lend").map_err(|error| BuilderError::Start(OWN.into(), error))
}

/// A folder for nobody else, without what an earlier start has left in it.
fn make_private(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::create_dir(folder)?;
    folder::set_mode(folder, 0o700)
}

/// The folders that all containers use: whichever comes first makes them.
fn share_folders(layout: &Layout) -> Result<(), BuilderError> {
    for open in [layout.run_dir(), layout.at(paths::BIN)] {
        folder::open_to_all(&open).map_err(|error| BuilderError::Folder(open, error))?;
    }
    folder::of_sockets(layout)
        .map_err(|error| BuilderError::Folder(layout.at(paths::DOCKER_SOCKET), error))?;
    for stale in [
        layout.at(paths::BUILDKIT_SOCKET),
        layout.at(paths::DOCKER_REPORT),
    ] {
        match fs::remove_file(&stale) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(BuilderError::Folder(stale, error));
            }
            _ => {}
        }
    }
    Ok(())
}
