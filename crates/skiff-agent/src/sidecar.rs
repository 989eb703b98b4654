//! The wrapper of the Docker daemon in its privileged sidecar: makes the container ready, starts the
//! daemon, and stays with it until the agent leaves.
//!
//! Exits with 0 only after the agent's marker; with another code on every other end, so that the kubelet
//! starts the daemon again.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode};

use skiff_proto::paths;
use thiserror::Error;

use crate::docker_report::{DockerReport, Phase, log_tail};
use crate::layout::Layout;
use crate::wish::Ending;
use crate::{OWN, report, start_beside};

mod address_pool;
mod cgroup_tree;
mod containerd;
mod daemon;
pub(crate) mod daemon_log;
pub(crate) mod data_lock;
pub(crate) mod disk;
pub(crate) mod file_system;
mod firewall;
mod lent_home;
mod memory;
mod mounts;
mod network;
mod overlay;
pub(crate) mod settings;
mod storage;
mod supervise;
mod upkeep;

use daemon::Choices;
use daemon_log::Log;
use supervise::Prepared;

pub(crate) use lent_home::tell as tell_home;

/// The wrapper cannot go on.
#[derive(Debug, Error)]
pub(crate) enum SidecarError {
    /// What the sidecar is told makes no sense to it.
    #[error(transparent)]
    Settings(#[from] settings::SettingsError),
    /// The networks of nested containers cannot be where they are wanted.
    #[error(transparent)]
    Pool(#[from] address_pool::PoolError),
    /// A shared folder cannot be prepared.
    #[error("cannot prepare {0}")]
    Folder(PathBuf, #[source] io::Error),
    /// The image has no daemon.
    #[error("no dockerd on the image's PATH")]
    NoDaemon,
    /// The daemon cannot be asked or started.
    #[error("cannot run {0}")]
    Daemon(PathBuf, #[source] io::Error),
    /// The daemon's data cannot lie where it would.
    #[error(transparent)]
    Storage(#[from] storage::StorageError),
    /// The daemon copies whole images, and nobody has allowed it.
    #[error(
        "Docker stores with the driver {0}, which copies whole images: an earlier daemon's data on the volume \
         may be of that kind; empty the volume, or allow it with `allow_slow_storage: true`"
    )]
    SlowDriver(String),
    /// No network for containers.
    #[error(transparent)]
    Firewall(#[from] firewall::FirewallError),
    /// The container's control groups cannot be divided.
    #[error(transparent)]
    Cgroups(#[from] cgroup_tree::CgroupError),
    /// The runtime cannot start.
    #[error("cannot supervise the daemon")]
    Supervise(#[source] io::Error),
}

/// Runs the wrapper. With `until_marker` a SIGTERM before the agent's marker is ignored: in a pod
/// without native sidecars it comes to all containers at once, and the jobs still need the daemon.
pub(crate) fn run(layout: &Layout, until_marker: bool) -> Result<ExitCode, SidecarError> {
    share_folders(layout)?;
    if layout.at(paths::LEAVE_MARKER).exists() {
        return Ok(ExitCode::SUCCESS);
    }
    memory::protect();
    let mut state = DockerReport {
        earlier: silent_end(layout),
        ..DockerReport::default()
    };
    state.tell(layout);
    let result = prepare(&mut state, layout)
        .and_then(|prepared| supervise::supervise(prepared, &mut state, layout, until_marker));
    state.close(&result);
    state.tell(layout);
    let ending = result?;
    if let Ending::Died(code) = ending {
        report(&log_tail(layout));
        report(&format!(
            "skiff-agent docker: the daemon ended with code {code}"
        ));
    }
    Ok(ending.code())
}

/// How the sidecar before this one ended, where it had no time to say so.
fn silent_end(layout: &Layout) -> Option<String> {
    let before = DockerReport::read(layout)?;
    let is_silent = matches!(before.phase, Phase::Preparing | Phase::Started);
    is_silent.then(|| match before.memory_limit {
        Some(_) => format!(
            "its container was killed, perhaps for want of memory {}",
            before.memory_words()
        ),
        None => "its container was killed".to_owned(),
    })
}

/// Makes everything ready that the daemon needs, and says in the report what was found and chosen.
fn prepare(state: &mut DockerReport, layout: &Layout) -> Result<Prepared, SidecarError> {
    let settings = settings::read()?;
    let memory = storage::memory_limit();
    let pools = address_pool::choose(&settings.address_pools)?;
    let question = daemon::find()?.ask()?;
    let tools = copy_tools(layout)?;
    state.cgroups = Some(cgroup_tree::divide()?);
    mounts::complete();
    let storage = storage::find(layout, &settings, memory)?;
    state.storage = Some(storage.chosen.clone());
    state.tried.clone_from(&storage.tried);
    let log = Log::begin(layout)?;
    let containerd = containerd::start(log.writer()?)?;
    let firewall = firewall::choose()?;
    state.iptables = Some(firewall.name().to_owned());
    state.mtu = settings.mtu.or_else(network::mtu);
    let mut daemon = question.answer()?;
    let has_containerd = containerd.is_some();
    daemon.configure(
        layout,
        &Choices {
            mtu: state.mtu,
            pools,
            firewall,
            has_containerd,
            storage_driver: storage.driver,
        },
        &settings,
    );
    state.arguments = daemon.arguments().to_vec();
    daemon::remove_leftovers(layout);
    Ok(Prepared {
        daemon,
        tools,
        containerd,
        log,
        storage,
    })
}

/// Starts to copy the command-line tools to the task, unless an earlier start of the sidecar has.
fn copy_tools(layout: &Layout) -> Result<Option<Child>, SidecarError> {
    if layout.at(paths::TOOLS_BIN).join("docker").exists() {
        return Ok(None);
    }
    let child =
        start_beside(layout, "tools").map_err(|error| SidecarError::Daemon(OWN.into(), error))?;
    Ok(Some(child))
}

/// Opens the folders that both containers use: whichever comes first makes them, and the task's user may
/// be any. The socket's folder is only for root and the group that the pod's containers are in.
fn share_folders(layout: &Layout) -> Result<(), SidecarError> {
    let folder = |path: &Path, mode| {
        fs::create_dir_all(path)
            .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
            .map_err(|error| SidecarError::Folder(path.to_owned(), error))
    };
    for open in [layout.run_dir(), layout.at(paths::BIN)] {
        folder(&open, 0o1777)?;
    }
    let socket = layout.at(paths::DOCKER_SOCKET);
    let dir = socket.parent().unwrap_or(Path::new("/"));
    folder(dir, 0o2750)?;
    chown(dir, Some(0), Some(paths::DOCKER_GROUP))
        .map_err(|error| SidecarError::Folder(dir.to_owned(), error))?;
    // A change of owner takes the bit away that gives new files the folder's group.
    folder(dir, 0o2750)
}
