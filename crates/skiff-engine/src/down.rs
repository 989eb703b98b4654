//! Down: the agent ends the jobs and itself, then the pods go, then the owner Secret.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret, Service};
use skiff_compile::labels;
use skiff_kube::{ApiError, Cluster, Kind, PodState, PodUpdate, observe};
use skiff_proto::{Ending, Request};
use thiserror::Error;
use tokio::time::timeout;

use crate::cluster::SkiffCluster;
use crate::connect::Connection;
use crate::nodes::{AT_A_TIME, wait_gone};
use crate::provision::CONTAINERS;
use crate::{Event, Reporter, agents, rights};

/// Time for the agent to end jobs and daemon: its own grace, and some; hooks have their own time.
const LEAVE: Duration = Duration::from_secs(15);

/// How often an agent is told to leave whose connection breaks.
const TRIES: usize = 3;

/// Why a cluster could not be taken down.
#[derive(Debug, Error)]
pub enum DownError {
    /// The API server refused something.
    #[error("cannot take down the cluster `{name}`")]
    Api {
        /// The cluster.
        name: String,
        /// Why.
        #[source]
        source: ApiError,
    },
}

impl DownError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let Self::Api { source, .. } = self;
        source.hint()
    }
}

/// Takes a cluster down and returns once nothing of it is left.
pub async fn down(
    cluster: &Cluster,
    skiff: &SkiffCluster,
    reporter: &dyn Reporter,
) -> Result<(), DownError> {
    let name = &skiff.record.name;
    reporter.event(Event::TakingDown {
        cluster: name.clone(),
    });
    take_down(cluster, skiff, reporter)
        .await
        .map_err(|source| DownError::Api {
            name: name.clone(),
            source,
        })
}

async fn take_down(
    cluster: &Cluster,
    skiff: &SkiffCluster,
    reporter: &dyn Reporter,
) -> Result<(), ApiError> {
    remove_pods(cluster, skiff, Ending::Down, reporter).await?;
    let own = format!("{}={}", labels::CLUSTER, skiff.id);
    if skiff.record.num_nodes > 1 {
        delete_all::<Service>(cluster, &own).await?;
    }
    if skiff.record.home_volume.is_some() {
        delete_all::<PersistentVolumeClaim>(cluster, &own).await?;
    }
    if skiff.autostop.is_some() {
        rights::take(cluster, &skiff.id).await;
    }
    for secret in cluster.list_metadata::<Secret>(&own).await? {
        let name = secret.name.as_deref().unwrap_or_default();
        // The owner goes last: without it nobody finds the rest.
        if name != skiff.id {
            cluster
                .delete::<Secret>(name, secret.uid.as_deref())
                .await?;
        }
    }
    cluster
        .delete::<Secret>(&skiff.id, Some(&skiff.uid))
        .await?;
    agents::prune(cluster).await
}

/// Deletes all objects of a kind that these labels select.
async fn delete_all<K: Kind>(cluster: &Cluster, labels: &str) -> Result<(), ApiError> {
    let objects = cluster.list_metadata::<K>(labels).await?;
    let deletions = objects.iter().map(async |object| {
        let name = object.name.as_deref().unwrap_or_default();
        cluster.delete::<K>(name, object.uid.as_deref()).await
    });
    stream::iter(deletions)
        .buffer_unordered(AT_A_TIME)
        .try_for_each(async |_| Ok(()))
        .await
}

/// Ends all pods of a cluster at the same time, each by its agent where that answers, and waits until they are gone.
pub(crate) async fn remove_pods(
    cluster: &Cluster,
    skiff: &SkiffCluster,
    ending: Ending,
    reporter: &dyn Reporter,
) -> Result<(), ApiError> {
    let own = format!("{}={}", labels::CLUSTER, skiff.id);
    let pods = cluster.list::<Pod>(&own).await?;
    let hooks = match ending {
        Ending::Down => skiff.hooks.down,
        Ending::Stop => skiff.hooks.stop,
    };
    if !hooks.is_zero() {
        reporter.event(Event::RunningHooks {
            cluster: skiff.record.name.clone(),
            limit: hooks,
        });
    }
    let removals = pods
        .iter()
        .map(async |pod| remove_pod(cluster, pod, (ending, hooks), reporter).await);
    stream::iter(removals)
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await
}

async fn remove_pod(
    cluster: &Cluster,
    pod: &Pod,
    (ending, hooks): (Ending, Duration),
    reporter: &dyn Reporter,
) -> Result<(), ApiError> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let uid = pod.metadata.uid.as_deref();
    if observe(pod, CONTAINERS) == PodState::Running {
        // A dead agent is no obstacle: then the kubelet ends the pod.
        let leaving = leave(cluster, name, ending, has_native_sidecar(pod));
        let _ = timeout(LEAVE + hooks, leaving).await;
    }
    cluster.delete::<Pod>(name, uid).await?;
    if !wait_gone(cluster, name, uid).await {
        let note = format!(
            "pod {name} does not end, perhaps because its Kubernetes node is lost: it goes when that comes back; \
             `kubectl delete pod {name} --force` gives its name free before"
        );
        reporter.event(Event::Note(note));
    }
    Ok(())
}

/// Whether the kubelet itself ends the daemon after the task.
fn has_native_sidecar(pod: &Pod) -> bool {
    let init = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.init_containers.as_ref());
    init.is_some_and(|init| {
        init.iter()
            .any(|container| container.restart_policy.as_deref() == Some("Always"))
    })
}

/// Asks the agent to leave and waits until its pod has ended: an old kubelet removes one that has
/// at once, and takes seconds for one that has not. A kubelet that knows native sidecars is the
/// other way round: it is told to remove the pod while the agent leaves.
async fn leave(cluster: &Cluster, pod: &str, ending: Ending, remove_while_leaving: bool) {
    // A connection that breaks while hooks run is opened again. One that cannot be: the agent has gone as it was asked
    // to, or its machine is lost.
    for _ in 0..TRIES {
        let Ok(connection) = Connection::open(cluster, pod).await else {
            break;
        };
        if connection.ask(Request::Shutdown { ending }).await.is_ok() {
            break;
        }
    }
    if !remove_while_leaving {
        let _ = timeout(LEAVE, wait_ended(cluster, pod)).await;
    }
}

/// Waits until a pod goes at once when it is deleted.
async fn wait_ended(cluster: &Cluster, pod: &str) {
    let mut updates = cluster.watch_pod(pod);
    while let Some(update) = updates.next().await {
        match update {
            PodUpdate::Gone => return,
            PodUpdate::Is(pod) if ended(&pod) => return,
            PodUpdate::Is(_) | PodUpdate::Interrupted(_) => {}
        }
    }
}

/// Whether the pod will go at once when it is deleted, or is kept by a container that is not ours and that nobody ends before.
fn ended(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    let foreign = pod.spec.as_ref().is_some_and(|spec| {
        let mut names = spec.containers.iter().map(|container| &container.name);
        names.any(|name| !CONTAINERS.contains(&name.as_str()))
    });
    matches!(phase, Some("Succeeded" | "Failed"))
        || (foreign && observe(pod, CONTAINERS) == PodState::Completed)
}
