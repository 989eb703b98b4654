//! The nodes of a cluster: made where they are not there, removed where they are another cluster's, made known to the head.

use std::time::Duration;

use futures::future::Either;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use skiff_compile::{Nodes, Plan, labels};
use skiff_kube::{ApiError, Cluster, Kind, PodState, PodUpdate, Waiting, observe};
use skiff_proto::Request;
use tokio::time::{Instant, sleep, timeout};

use crate::connect::{AgentError, Connection};
use crate::provision::{CONTAINERS, ProvisionError};

/// Objects of one cluster that are created, asked or deleted at the same time.
pub(crate) const AT_A_TIME: usize = 16;
/// How long a pod may take to go: its grace, Docker's, and what a busy kubelet needs.
pub(crate) const GOING: Duration = Duration::from_mins(2);

/// How often it is looked whether an object has gone that cannot be watched.
const LOOK: Duration = Duration::from_millis(300);

/// Creates the pods and what belongs to them, as far as they are not there.
pub(crate) async fn make(
    cluster: &Cluster,
    nodes: &Nodes,
    owner_uid: &str,
) -> Result<(), ProvisionError> {
    let services = nodes.services(owner_uid);
    let services = services.map(async |service| Ok(put_owned(cluster, &service).await?));
    let claims = nodes.claims(owner_uid);
    let claims = claims.map(async |claim| {
        let put = put_owned(cluster, &claim).await;
        put.map_err(ProvisionError::Claim)
    });
    let pods = nodes.pods(owner_uid);
    let pods = pods.map(async |pod| create_pod(cluster, &pod).await);
    let before = services.map(Either::Left).chain(claims.map(Either::Right));
    let all = before.map(Either::Left).chain(pods.map(Either::Right));
    stream::iter(all)
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await
}

/// Creates the plan's Secrets; those of an earlier launch get this one's values.
pub(crate) async fn put_secrets(
    cluster: &Cluster,
    plan: &Plan,
    owner_uid: &str,
) -> Result<(), ApiError> {
    for secret in plan.secrets(owner_uid) {
        let change = serde_json::json!({
            "metadata": metadata_of(&secret.metadata),
            "stringData": secret.string_data,
        });
        put(cluster, &secret, &change).await?;
    }
    Ok(())
}

/// Creates an object; one of an earlier cluster of this name becomes this one's, and keeps what it holds.
pub(crate) async fn put_owned<K: Kind>(cluster: &Cluster, object: &K) -> Result<(), ApiError> {
    let change = serde_json::json!({ "metadata": metadata_of(object.metadata()) });
    put(cluster, object, &change).await
}

/// What makes an object of an earlier cluster of this name one of the cluster that is there now.
fn metadata_of(metadata: &ObjectMeta) -> serde_json::Value {
    serde_json::json!({
        "ownerReferences": metadata.owner_references,
        "labels": metadata.labels,
        "annotations": metadata.annotations,
    })
}

/// Creates an object, or changes the one that is there.
async fn put<K: Kind>(
    cluster: &Cluster,
    object: &K,
    change: &serde_json::Value,
) -> Result<(), ApiError> {
    let name = object.metadata().name.as_deref().unwrap_or_default();
    let deadline = Instant::now() + GOING;
    loop {
        match cluster.create(object).await {
            Err(error) if error.is_conflict() => {}
            result => return result.map(drop),
        }
        match cluster.patch::<K>(name, change).await {
            // It went with an older cluster of this name.
            Err(error) if error.is_not_found() => {}
            // It is about to: a volume takes its time.
            Ok(there)
                if there.metadata().deletion_timestamp.is_some() && Instant::now() < deadline =>
            {
                sleep(LOOK).await;
            }
            result => return result.map(drop),
        }
    }
}

/// Creates a pod; one that has ended, or is on its way out, is replaced.
async fn create_pod(cluster: &Cluster, pod: &Pod) -> Result<(), ProvisionError> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    loop {
        match cluster.create(pod).await {
            Err(error) if error.is_conflict() => {}
            result => return Ok(result.map(drop)?),
        }
        let Some(present) = cluster.get::<Pod>(name).await? else {
            continue;
        };
        let uid = present.metadata.uid.as_deref();
        match observe(&present, CONTAINERS) {
            PodState::Completed | PodState::Failed(_) => {
                cluster.delete::<Pod>(name, uid).await?;
            }
            PodState::Waiting(Waiting::Deletion) => {}
            PodState::Waiting(_) | PodState::Stuck { .. } | PodState::Running => return Ok(()),
        }
        if !wait_gone(cluster, name, uid).await {
            return Err(ProvisionError::Lingers {
                pod: name.to_owned(),
            });
        }
    }
}

/// Removes pods of an earlier cluster of this name that was made otherwise, or had more nodes.
pub(crate) async fn remove_strays(cluster: &Cluster, nodes: &Nodes) -> Result<(), ProvisionError> {
    let own: Vec<String> = nodes.pod_names().collect();
    for pod in list(cluster, nodes).await? {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let made_from = pod.metadata.annotations.as_ref();
        let made_from = made_from.and_then(|all| all.get(labels::SPEC_HASH));
        if own.contains(&name) && made_from.is_some_and(|hash| hash == nodes.spec_hash()) {
            continue;
        }
        let uid = pod.metadata.uid.as_deref();
        cluster.delete::<Pod>(&name, uid).await?;
        if !wait_gone(cluster, &name, uid).await {
            return Err(ProvisionError::Lingers { pod: name });
        }
    }
    Ok(())
}

/// Whether every node's task container runs.
pub(crate) async fn all_run(cluster: &Cluster, nodes: &Nodes) -> Result<bool, ApiError> {
    let pods = list(cluster, nodes).await?;
    let runs = |name: &str| {
        let mut pods = pods.iter();
        let pod = pods.find(|pod| pod.metadata.name.as_deref() == Some(name));
        pod.is_some_and(|pod| observe(pod, CONTAINERS) == PodState::Running)
    };
    Ok(nodes.pod_names().all(|name| runs(&name)))
}

async fn list(cluster: &Cluster, nodes: &Nodes) -> Result<Vec<Pod>, ApiError> {
    let own = format!("{}={}", labels::CLUSTER, nodes.cluster());
    cluster.list::<Pod>(&own).await
}

/// Deletes the pods of these nodes. What cannot be deleted, for want of the right perhaps, goes with its owner.
pub(crate) async fn delete(cluster: &Cluster, nodes: &Nodes) {
    stream::iter(nodes.pod_names())
        .for_each_concurrent(AT_A_TIME, async |pod| {
            let _ = cluster.delete::<Pod>(&pod, None).await;
        })
        .await;
}

/// Deletes the names of these nodes.
pub(crate) async fn delete_services(cluster: &Cluster, nodes: &Nodes) {
    stream::iter(nodes.services(""))
        .for_each_concurrent(AT_A_TIME, async |service| {
            let name = service.metadata.name.as_deref().unwrap_or_default();
            let _ = cluster.delete::<Service>(name, None).await;
        })
        .await;
}

/// Tells the head where the nodes are, once all of them run. A single node has nothing to learn.
pub(crate) async fn introduce(cluster: &Cluster, nodes: &Nodes) -> Result<(), AgentError> {
    if nodes.count() == 1 {
        return Ok(());
    }
    let pods = list(cluster, nodes).await?;
    let address = |name: &str| {
        let mut pods = pods.iter();
        let pod = pods.find(|pod| pod.metadata.name.as_deref() == Some(name));
        pod.and_then(|pod| pod.status.as_ref()?.pod_ip.clone())
            .unwrap_or_default()
    };
    let addresses = nodes.pod_names().map(|name| address(&name)).collect();
    let connection = Connection::open(cluster, &nodes.cluster().pod(0)).await?;
    connection.ask(Request::Nodes { addresses }).await.map(drop)
}

/// Waits until a pod of this uid is no more; false where that takes too long.
pub(crate) async fn wait_gone(cluster: &Cluster, name: &str, uid: Option<&str>) -> bool {
    let mut updates = cluster.watch_pod(name);
    let gone = async {
        while let Some(update) = updates.next().await {
            match update {
                PodUpdate::Gone => return,
                PodUpdate::Is(pod) if pod.metadata.uid.as_deref() != uid => return,
                PodUpdate::Is(_) | PodUpdate::Interrupted(_) => {}
            }
        }
    };
    timeout(GOING, gone).await.is_ok()
}
