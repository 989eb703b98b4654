//! The agent's socket: accepts clients and gives each its connection.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use skiff_proto::DockerState;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::connection::{self, Peer};
use crate::home::Home;
use crate::hooks::HookRunner;
use crate::idle::{self, Activity};
use crate::keeper;
use crate::layout::Layout;
use crate::nodes::Nodes;
use crate::queue::Departure;
use crate::stages::Stages;
use crate::sync::Turns;
use crate::worker::{DockerGate, HeadPlace};

/// How long clients have to take their last answers when the agent goes.
const FAREWELL: Duration = Duration::from_secs(1);

/// What every connection works with.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// The keeper of all jobs.
    pub(crate) keeper: mpsc::Sender<keeper::Command>,
    /// Where things lie.
    pub(crate) layout: Layout,
    /// Where jobs are at home.
    pub(crate) home: Home,
    /// The syncs that are under way.
    pub(crate) syncs: Turns,
    /// The cluster's nodes.
    pub(crate) nodes: Nodes,
    /// What runs stages on this node.
    pub(crate) stages: Stages,
    /// The head's place at a worker.
    pub(crate) head_place: HeadPlace,
    /// Where stages that a head has ordered wait for Docker.
    pub(crate) docker_gate: DockerGate,
    /// What is known of Docker.
    pub(crate) docker: watch::Receiver<DockerState>,
    /// The identity of this run of the agent.
    pub(crate) boot: String,
    /// What goes on is told there.
    pub(crate) activity: Activity,
    /// Takes the word on when the cluster ends by itself.
    pub(crate) autostop: mpsc::Sender<idle::Order>,
    /// Runs this node's hooks.
    pub(crate) hooks: HookRunner,
    /// Takes the demand to go.
    pub(crate) departure: mpsc::Sender<Departure>,
    /// Why the agent leaves, once it has begun to.
    pub(crate) leaving: watch::Receiver<Option<String>>,
    /// Turns true when all jobs have ended and the agent goes.
    pub(crate) departed: watch::Receiver<bool>,
}

/// Opens the socket under its name only when it listens, so that nobody who finds it is refused.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    let fresh = path.with_extension("new");
    if let Err(error) = fs::remove_file(&fresh)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let listener = UnixListener::bind(&fresh)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600))?;
    fs::rename(&fresh, path)?;
    Ok(listener)
}

/// Serves until the agent goes and its clients have had their last answers.
pub(crate) async fn serve(listener: UnixListener, service: Service) {
    let mut connections = JoinSet::new();
    let mut departed = service.departed.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A client that has gone again already, or no file left for it: others are served.
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection::serve(stream, Peer::Client, service.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
            _ = departed.wait_for(|departed| *departed) => break,
        }
    }
    let farewell = async { while connections.join_next().await.is_some() {} };
    // Those that do not hang up in time are cut off.
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
}
