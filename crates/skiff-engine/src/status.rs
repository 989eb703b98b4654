//! The state of clusters, from their Secrets and pods.

use std::fmt;

use k8s_openapi::api::core::v1::Pod;
use serde::Serialize;
use skiff_compile::labels;
use skiff_kube::{ApiError, Cluster, PodState, Waiting, last_restart, observe};

use crate::User;
use crate::cluster::{SkiffCluster, list, selector};
use crate::provision::CONTAINERS;

/// A cluster's state, in SkyPilot's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ClusterState {
    /// It does not run yet, or not any more.
    Init,
    /// It runs.
    Up,
}

impl fmt::Display for ClusterState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Init => "INIT",
            Self::Up => "UP",
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
}

/// The user's clusters, or everybody's, by name.
pub async fn status(
    cluster: &Cluster,
    user: Option<&User>,
) -> Result<Vec<ClusterStatus>, ApiError> {
    let labels = selector(user);
    let (clusters, pods) = tokio::try_join!(list(cluster, user), cluster.list::<Pod>(&labels))?;
    let head_of = |id: &str| {
        pods.iter().find(|pod| {
            label(pod, labels::CLUSTER) == Some(id) && label(pod, labels::RANK) == Some("0")
        })
    };
    Ok(clusters
        .into_iter()
        .map(|cluster| judge(head_of(&cluster.id), cluster))
        .collect())
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
    let pod = cluster.get::<Pod>(&format!("{}-head", skiff.id)).await?;
    let status = judge(pod.as_ref(), skiff.clone());
    Ok((status.state, status.why))
}

fn judge(pod: Option<&Pod>, cluster: SkiffCluster) -> ClusterStatus {
    let (state, why) = match pod.map(|pod| observe(pod, CONTAINERS)) {
        Some(PodState::Running) => {
            let last = pod.and_then(|pod| last_restart(pod, labels::TASK_CONTAINER));
            let why = last.map(|end| format!("its task container was started again: {end}"));
            (ClusterState::Up, why)
        }
        Some(PodState::Waiting(Waiting::Deletion)) => (
            ClusterState::Init,
            Some("it is being taken down".to_owned()),
        ),
        Some(PodState::Waiting(_)) => (ClusterState::Init, Some("its pod is starting".to_owned())),
        Some(PodState::Stuck { diagnosis, .. } | PodState::Failed(diagnosis)) => {
            (ClusterState::Init, Some(diagnosis.to_string()))
        }
        Some(PodState::Completed) => (ClusterState::Init, Some("its pod has ended".to_owned())),
        None => (ClusterState::Init, Some("its pod is gone".to_owned())),
    };
    let head_ip = pod.and_then(|pod| pod.status.as_ref()?.pod_ip.clone());
    let node = pod.and_then(|pod| pod.spec.as_ref()?.node_name.clone());
    ClusterStatus {
        cluster,
        state,
        why,
        head_ip,
        node,
    }
}

fn label<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.labels.as_ref()?.get(key).map(String::as_str)
}
