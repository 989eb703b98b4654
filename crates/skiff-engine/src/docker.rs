//! What the agents of clusters know of Docker beside them.

use std::time::Duration;

use futures::future::join_all;
use serde::Serialize;
use skiff_kube::Cluster;
use skiff_proto::{DockerFacts, DockerState, Request, Response};
use skiff_schema::DockerMode;

use crate::connect::{AgentError, Connection};
use crate::status::ClusterStatus;

/// How long an agent has to answer: whoever asks how things are does not wait for what is broken.
const PATIENCE: Duration = Duration::from_secs(10);

/// Docker on one node.
#[derive(Clone, Debug, Serialize)]
pub struct NodeDocker {
    /// How it is.
    pub state: DockerState,
    /// What it found and chose.
    pub facts: DockerFacts,
}

/// Asks the nodes that run and have Docker about it. One that does not answer stays unknown.
pub async fn ask_docker(cluster: &Cluster, clusters: &mut [ClusterStatus]) {
    let with_docker = clusters
        .iter_mut()
        .filter(|status| status.cluster.record.docker != DockerMode::Off);
    let nodes = with_docker.flat_map(|status| status.nodes.iter_mut().filter(|node| node.up));
    join_all(nodes.map(async |node| {
        node.docker = ask(cluster, &node.pod).await.ok().flatten();
    }))
    .await;
}

async fn ask(cluster: &Cluster, pod: &str) -> Result<Option<NodeDocker>, AgentError> {
    let connection = Connection::open_within(PATIENCE, cluster, pod).await?;
    Ok(match connection.ask(Request::Docker).await? {
        Response::Docker { state, facts } => Some(NodeDocker {
            state,
            facts: facts.map(|facts| *facts).unwrap_or_default(),
        }),
        _ => None,
    })
}
