//! The agent as PID 1 of the task container: sets everything up, runs until it may go.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use skiff_proto::{DockerState, JobStatus, RESTARTED, SecretVariables, paths};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use crate::arguments::Engine;
use crate::builder::{buildx, stand_in};
use crate::cgroup::MemoryWatch;
use crate::clock::now_ms;
use crate::connection::{self, Peer};
use crate::departure::{self, Leaver};
use crate::environment::{LastOrder, Surroundings};
use crate::gate::Gate;
use crate::home::Home;
use crate::hooks::HookRunner;
use crate::idle::{Activity, Watch};
use crate::job_log::{JobLog, LogFolder};
use crate::keeper::{Command, Keeper};
use crate::layout::Layout;
use crate::link::{self, KeyError, LinkKey};
use crate::nodes::Nodes;
use crate::owner::ApiServer;
use crate::queue::{Capacity, Departure, Queue, closing_lines};
use crate::reaper::Reaper;
use crate::record::{self, Past};
use crate::report;
use crate::server::{self, Service};
use crate::shell::Shell;
use crate::sidecar;
use crate::ssh::{self, SshError};
use crate::stages::Stages;
use crate::sync::{self, Turns};
use crate::worker::{DockerGate, HeadPlace, Worker};

/// Commands on their way to the keeper; its senders wait where it is behind.
const COMMANDS: usize = 64;

/// The agent cannot run.
#[derive(Debug, Error)]
pub(crate) enum RunError {
    /// A folder that it needs cannot be made.
    #[error("cannot prepare {0}")]
    Folder(PathBuf, #[source] io::Error),
    /// The home folder of jobs cannot be prepared.
    #[error("cannot prepare a home folder for jobs")]
    Home(#[source] io::Error),
    /// The runtime cannot start.
    #[error("cannot start")]
    Runtime(#[source] io::Error),
    /// The socket cannot be opened.
    #[error("cannot listen at {0}")]
    Listen(PathBuf, #[source] io::Error),
    /// The SSH server cannot run.
    #[error("cannot serve SSH")]
    Ssh(#[source] SshError),
    /// The cluster's key is of no use.
    #[error("cannot use the cluster's key at {0}")]
    Key(PathBuf, #[source] KeyError),
    /// A worker does not know where it is.
    #[error("SKIFF_POD_IP is no address: {0:?}")]
    Address(OsString),
    /// A worker cannot let its head in.
    #[error("cannot listen for the head at {0}")]
    Link(IpAddr, #[source] io::Error),
}

/// Runs the agent until the cluster goes down or the container is told to stop: both end with success,
/// so that the kubelet does not start the container again.
pub(crate) fn run(layout: Layout, engine: Option<Engine>) -> Result<ExitCode, RunError> {
    let marker = layout.at(paths::LEAVE_MARKER);
    prepare(&layout)?;
    let home = Home::prepare(&layout).map_err(RunError::Home)?;
    sync::recover(&layout).map_err(|error| RunError::Folder(layout.at(paths::SYNC), error))?;
    let surroundings = Surroundings {
        own: std::env::vars_os().collect(),
        home,
        boot: format!("{:x}-{:x}", now_ms(), std::process::id()),
        engine,
        layout,
        last: LastOrder::default(),
    };
    let past = recover(&surroundings.layout)
        .map_err(|error| RunError::Folder(surroundings.layout.at(paths::JOBS), error))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_stack_size(512 << 10)
        .build()
        .map_err(RunError::Runtime)?;
    runtime.block_on(live(surroundings, past))?;
    fs::write(&marker, b"").map_err(|error| RunError::Folder(marker, error))?;
    Ok(ExitCode::SUCCESS)
}

fn prepare(layout: &Layout) -> Result<(), RunError> {
    let make =
        |dir: PathBuf| fs::create_dir_all(&dir).map_err(|error| RunError::Folder(dir, error));
    make(layout.run_dir())?;
    make(layout.at(paths::JOBS))?;
    let remove = |path: PathBuf, result: io::Result<()>| match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(RunError::Folder(path, error)),
        _ => Ok(()),
    };
    let marker = layout.at(paths::LEAVE_MARKER);
    remove(marker.clone(), fs::remove_file(&marker))?;
    Shell::prepare(layout).map_err(|error| RunError::Folder(layout.shell_start(), error))
}

/// The jobs of earlier runs of the agent. Those that had not ended have ended now: their processes went
/// with the container, and their variables with the agent.
fn recover(layout: &Layout) -> io::Result<Past> {
    let mut past = record::load(layout)?;
    for record in past
        .records
        .iter_mut()
        .filter(|record| !record.status.is_final())
    {
        let limit = MemoryWatch::find()
            .map(|memory| memory.at_limit())
            .unwrap_or_default();
        let when = match record.status {
            JobStatus::SettingUp => "during its setup",
            JobStatus::Running => "while it ran",
            _ => "before it began",
        };
        let secrets = if record.secrets.is_empty() {
            ""
        } else {
            "; its secrets were in the agent's memory alone: submit it again"
        };
        record.cause = Some(format!(
            "{RESTARTED} {when} (it did not stop by itself: it was killed, perhaps for \
             want of memory{limit}, or its node restarted){secrets}"
        ));
        record.status = JobStatus::Failed;
        record.ended_ms = Some(now_ms());
        let logs =
            LogFolder::new(layout.log_dir(&record::log_name(record.id, record.name.as_deref())));
        let logs = Arc::new(logs);
        match JobLog::open(Arc::clone(&logs), &SecretVariables::default()) {
            Ok(log) => {
                log.lines(&[String::new()]);
                log.lines(&closing_lines(record));
            }
            Err(error) => report(&format!("cannot open {}: {error}", logs.dir().display())),
        }
        if let Err(error) = record::save(layout, record) {
            report(&format!(
                "cannot write the record of job {}: {error}",
                record.id
            ));
        }
    }
    Ok(past)
}

async fn live(surroundings: Surroundings, past: Past) -> Result<(), RunError> {
    let layout = surroundings.layout.clone();
    let reaper = Reaper::start().map_err(RunError::Runtime)?;
    let (keeper, commands) = mpsc::channel(COMMANDS);
    let key = LinkKey::read(&layout)
        .map_err(|error| RunError::Key(layout.at(paths::CLUSTER_KEY), error))?;
    let stages = Stages::new(surroundings.clone(), reaper.clone());
    let nodes = Nodes::new(&surroundings, stages.clone(), key.as_ref());
    let docker_awaited = Arc::new(Notify::new());
    let docker_gate = DockerGate::new(surroundings.engine.is_some(), Arc::clone(&docker_awaited));
    let docker = watch_docker(&surroundings, &keeper, &docker_awaited)?;
    let api_server = ApiServer::of(&surroundings);
    let activity = Activity::new();
    let (idle, autostop) = Watch::new(layout.clone(), activity.clone());
    let hooks = HookRunner::new(&surroundings, &nodes, stages.clone());
    let (leaver, departure) = Leaver::new(keeper.clone(), hooks.clone(), nodes.clone());
    let (departing, departed) = watch::channel(false);
    let service = Service {
        keeper: keeper.clone(),
        home: surroundings.home.clone(),
        boot: surroundings.boot.clone(),
        syncs: Turns::default(),
        nodes: nodes.clone(),
        layout: layout.clone(),
        stages: stages.clone(),
        head_place: HeadPlace::default(),
        docker_gate: docker_gate.clone(),
        docker,
        activity: activity.clone(),
        autostop,
        hooks,
        departure: departure.clone(),
        leaving: leaver.leaving(),
        departed,
    };
    let path = layout.at(paths::AGENT_SOCKET);
    let listener = server::listen(&path).map_err(|error| RunError::Listen(path, error))?;
    let linking = link_up(&nodes, key, &surroundings, &service).await?;
    let serving = tokio::spawn(server::serve(listener, service));
    ssh::start(surroundings.clone(), reaper, activity.clone()).map_err(RunError::Ssh)?;
    obey_signals(&departure).map_err(RunError::Runtime)?;
    let leaving = tokio::spawn(leaver.run(idle));
    let rank = nodes.rank();
    if rank == 0 {
        let capacity = capacity(&surroundings, nodes.count());
        let keeper = Keeper::new(
            Queue::new(capacity, surroundings.engine.is_some(), past),
            surroundings,
            nodes.clone(),
            keeper,
            docker_awaited,
            activity,
        );
        report("the agent is ready");
        keeper.run(commands).await;
    } else {
        report(&format!("the agent of {} is ready", Nodes::name(rank)));
        Worker::new(stages, docker_gate).run(commands).await;
    }
    if let Ok(farewell) = leaving.await {
        departure::dismiss_workers(&nodes, &farewell).await;
        departure::say(&farewell);
        departure::vanish(&layout, api_server, &farewell).await;
    }
    // The receivers are the servers', which end only after this.
    let _ = departing.send(true);
    let _ = serving.await;
    if let Some(linking) = linking {
        let _ = linking.await;
    }
    Ok(())
}

/// Begins to look for the Docker daemon, where the task has one; gives what is known of it.
fn watch_docker(
    surroundings: &Surroundings,
    keeper: &mpsc::Sender<Command>,
    awaited: &Arc<Notify>,
) -> Result<watch::Receiver<DockerState>, RunError> {
    let (state, known) = watch::channel(DockerState::Off);
    if let Some(engine) = surroundings.engine {
        state.send_replace(DockerState::Starting);
        let (layout, home) = (&surroundings.layout, &surroundings.home.dir);
        sidecar::tell_home(layout, home)
            .map_err(|error| RunError::Folder(layout.run_dir(), error))?;
        if engine == Engine::Builder {
            let socket = || layout.at(paths::DOCKER_SOCKET);
            let listener =
                stand_in::listen(layout).map_err(|error| RunError::Listen(socket(), error))?;
            tokio::spawn(stand_in::serve(listener));
            buildx::register(layout, home)
                .map_err(|error| RunError::Folder(layout.at(paths::BUILDX), error))?;
        }
        let gate = Gate::new(
            engine,
            layout.clone(),
            home.clone(),
            state,
            keeper.clone(),
            Arc::clone(awaited),
        );
        tokio::spawn(gate.run());
    }
    Ok(known)
}

/// Lets the head in, at a worker.
async fn link_up(
    nodes: &Nodes,
    key: Option<LinkKey>,
    surroundings: &Surroundings,
    service: &Service,
) -> Result<Option<JoinHandle<()>>, RunError> {
    let (Some(key), true) = (key, nodes.rank() > 0) else {
        return Ok(None);
    };
    let address = surroundings.own_or("SKIFF_POD_IP", "");
    let parsed = address.to_str().and_then(|address| address.parse().ok());
    let Some(parsed) = parsed else {
        return Err(RunError::Address(address));
    };
    let listener = link::listen(parsed).await;
    let listener = listener.map_err(|error| RunError::Link(parsed, error))?;
    let departed = service.departed.clone();
    let service = service.clone();
    let used: link::Use =
        Arc::new(move |stream| Box::pin(connection::serve(stream, Peer::Head, service.clone())));
    let serving = link::serve(listener, key, used, departed);
    Ok(Some(tokio::spawn(serving)))
}

/// What each of so many nodes has, as their pods' variables say it.
fn capacity(surroundings: &Surroundings, nodes: u32) -> Capacity {
    let text = |name, default| surroundings.own_or(name, default);
    let cpus = text("SKIFF_CPUS", "1")
        .to_str()
        .and_then(|cpus| cpus.parse().ok());
    let gpus = text("SKIFF_GPUS", "0")
        .to_str()
        .and_then(|gpus| gpus.parse().ok());
    Capacity::new(nodes, cpus.unwrap_or(1.0), gpus.unwrap_or(0))
}

/// SIGTERM and SIGINT mean that the container is to stop.
fn obey_signals(departure: &mpsc::Sender<Departure>) -> io::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let (mut signals, departure) = (signal(kind)?, departure.clone());
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                // Nobody listens only when the agent goes anyway.
                let _ = departure.send(Departure::Stopped).await;
            }
        });
    }
    Ok(())
}
