//! The state of clusters, from their Secrets and pods.

use std::fmt;

use k8s_openapi::api::core::v1::Pod;
use serde::Serialize;
use skiff_compile::labels;
use skiff_kube::{ApiError, Cluster, PodState, Waiting, last_restart, observe};
use skiff_proto::{Autostop, WaitFor, node_name};

use crate::User;
use crate::cluster::{SkiffCluster, list, selector};
use crate::docker::NodeDocker;
use crate::leftovers::{left_idle, taken_down};
use crate::provision::CONTAINERS;

/// A cluster's state, in SkyPilot's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ClusterState {
    /// It does not run yet, or not any more.
    Init,
    /// It runs.
    Up,
    /// Its pods are gone and its homes are kept.
    Stopped,
    /// It took itself down; what is left of it is about to be removed.
    Down,
}

impl fmt::Display for ClusterState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Init => "INIT",
            Self::Up => "UP",
            Self::Stopped => "STOPPED",
            Self::Down => "DOWN",
        })
    }
}

/// One cluster and how it is.
#[derive(Clone, Debug)]
pub struct ClusterStatus {
    /// The cluster.
    pub cluster: SkiffCluster,
    /// Its state.
    pub state: ClusterState,
    /// Why it is not UP, or what happened to it that its jobs did not survive.
    pub why: Option<String>,
    /// The head pod's address.
    pub head_ip: Option<String>,
    /// The node that the head pod runs on.
    pub node: Option<String>,
    /// Its nodes by rank.
    pub nodes: Vec<NodeStatus>,
}

/// One node of a cluster and how it is.
#[derive(Clone, Debug, Serialize)]
pub struct NodeStatus {
    /// `head`, `worker1`…
    pub name: String,
    /// Its pod.
    pub pod: String,
    /// Whether its task container runs.
    pub up: bool,
    /// Why it does not, or what happened to it.
    pub reason: Option<String>,
    /// Its address.
    pub ip: Option<String>,
    /// The node of Kubernetes that it runs on.
    pub node: Option<String>,
    /// What is known of Docker there, once it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker: Option<NodeDocker>,
    /// Whether there is nothing of it, or what has ended by itself.
    #[serde(skip)]
    ended: bool,
}

/// The user's clusters, or everybody's, by name.
pub async fn status(
    cluster: &Cluster,
    user: Option<&User>,
) -> Result<Vec<ClusterStatus>, ApiError> {
    let labels = selector(user);
    let (clusters, pods) = tokio::try_join!(list(cluster, user), cluster.list::<Pod>(&labels))?;
    let pod_of = |id: &str, rank: u32| {
        let rank = rank.to_string();
        pods.iter().find(|pod| {
            label(pod, labels::CLUSTER) == Some(id) && label(pod, labels::RANK) == Some(&rank)
        })
    };
    let judged = clusters.into_iter().map(|cluster| {
        let id = cluster.id.clone();
        judge(cluster, |rank| pod_of(&id, rank))
    });
    Ok(judged.collect())
}

/// The names of the user's clusters that are UP.
pub async fn running_clusters(cluster: &Cluster, user: &User) -> Result<Vec<String>, ApiError> {
    let clusters = status(cluster, Some(user)).await?;
    let up = clusters
        .into_iter()
        .filter(|status| status.state == ClusterState::Up);
    Ok(up.map(|status| status.cluster.record.name).collect())
}

/// One cluster's state and what is known of the reason.
pub(crate) async fn state_of(
    cluster: &Cluster,
    skiff: &SkiffCluster,
) -> Result<(ClusterState, Option<String>), ApiError> {
    let own = format!("{}={}", labels::CLUSTER, skiff.id);
    let pods = cluster.list::<Pod>(&own).await?;
    let status = judge(skiff.clone(), |rank| {
        let rank = rank.to_string();
        let mut pods = pods.iter();
        pods.find(|pod| label(pod, labels::RANK) == Some(&rank))
    });
    Ok((status.state, status.why))
}

/// A cluster's state from its pods by rank.
fn judge<'a>(cluster: SkiffCluster, pod_of: impl Fn(u32) -> Option<&'a Pod>) -> ClusterStatus {
    let count = cluster.record.num_nodes;
    let nodes: Vec<NodeStatus> = (0..count)
        .map(|rank| judge_node(&cluster.id, rank, pod_of(rank)))
        .collect();
    let has_homes = cluster.record.home_volume.is_some();
    let (state, why) = if nodes.iter().all(|node| node.up) {
        let mut told = nodes.iter().filter(|node| node.reason.is_some());
        (ClusterState::Up, told.next().map(|node| node.told(count)))
    } else if let Some(autostop) = pod_of(0).and_then(taken_down) {
        (ClusterState::Down, Some(idleness(&autostop)))
    } else if has_homes && nodes.iter().all(|node| node.ended) {
        let idle = pod_of(0).and_then(left_idle);
        let by = idle.map_or_else(|| "it was stopped".to_owned(), |policy| idleness(&policy));
        let why = format!("{by}: `skiff start {}` starts it", cluster.record.name);
        (ClusterState::Stopped, Some(why))
    } else {
        let mut down = nodes.iter().filter(|node| !node.up);
        let why = down.next().map(|node| node.told(count));
        let more = match down.count() {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        (ClusterState::Init, why.map(|why| why + &more))
    };
    let head = nodes.first();
    ClusterStatus {
        state,
        why,
        head_ip: head.and_then(|head| head.ip.clone()),
        node: head.and_then(|head| head.node.clone()),
        nodes,
        cluster,
    }
}

fn judge_node(id: &str, rank: u32, pod: Option<&Pod>) -> NodeStatus {
    let state = pod.map(|pod| observe(pod, CONTAINERS));
    let ended = matches!(state, None | Some(PodState::Completed));
    let (up, reason) = match state {
        Some(PodState::Running) => {
            let last = pod.and_then(|pod| last_restart(pod, labels::TASK_CONTAINER));
            let reason = last.map(|end| format!("its task container was started again: {end}"));
            (true, reason)
        }
        Some(PodState::Waiting(Waiting::Deletion)) => {
            (false, Some("it is being taken down".to_owned()))
        }
        Some(PodState::Waiting(_)) => (false, Some("its pod is starting".to_owned())),
        Some(PodState::Stuck { diagnosis, .. } | PodState::Failed(diagnosis)) => {
            (false, Some(diagnosis.to_string()))
        }
        Some(PodState::Completed) => (false, Some("its pod has ended".to_owned())),
        None => (false, Some("its pod is gone".to_owned())),
    };
    let name = node_name(rank);
    NodeStatus {
        pod: format!("{id}-{name}"),
        name,
        up,
        reason,
        ip: pod.and_then(|pod| pod.status.as_ref()?.pod_ip.clone()),
        node: pod.and_then(|pod| pod.spec.as_ref()?.node_name.clone()),
        docker: None,
        ended,
    }
}

impl NodeStatus {
    /// What is to be said of it, with its name where there are several.
    fn told(&self, count: u32) -> String {
        let reason = self.reason.clone().unwrap_or_default();
        if count == 1 {
            reason
        } else {
            format!("{}: {reason}", self.name)
        }
    }
}

/// Why a cluster does not run any more.
fn idleness(autostop: &Autostop) -> String {
    let time = autostop.time();
    let did = if autostop.down {
        "took it down"
    } else {
        "stopped it"
    };
    match autostop.wait_for {
        WaitFor::None => format!("autostop {did} after {time}"),
        WaitFor::Jobs | WaitFor::JobsAndSsh => format!("autostop {did} after {time} without work"),
    }
}

fn label<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.labels.as_ref()?.get(key).map(String::as_str)
}
