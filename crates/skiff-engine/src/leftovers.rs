//! What is left of clusters that took themselves down: the agent without a right to delete anything can only end its
//! pods, and whoever uses Skiff next removes them.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Pod, Secret};
use skiff_compile::labels;
use skiff_kube::{ApiError, Cluster};
use skiff_proto::{Autostop, Farewell, Left};

use crate::cluster::{SkiffCluster, selector};
use crate::{User, owner, rights};

/// Pods that have ended well: nearly always none.
const ENDED: &str = "status.phase=Succeeded";

/// Removes what is left of the user's clusters that took themselves down. Whoever launches such a cluster again at the
/// same time wins. Gives the names of those that are gone.
pub async fn remove_leftovers(cluster: &Cluster, user: &User) -> Result<Vec<String>, ApiError> {
    let pods = cluster
        .list_where::<Pod>(&selector(Some(user)), ENDED)
        .await?;
    let mut ended = BTreeSet::new();
    for pod in &pods {
        if taken_down(pod).is_some() {
            ended.extend(label(pod, labels::CLUSTER));
        }
    }
    let mut removed = Vec::new();
    for id in ended {
        let Some(secret) = cluster.get::<Secret>(id).await? else {
            continue;
        };
        let Ok(skiff) = SkiffCluster::from_secret(&secret) else {
            continue;
        };
        // The owner first, as it was seen: a launch that has taken it over since has changed it. Its death would do for
        // the rest, which the control plane removes; only not at once.
        if owner::is_under_way(cluster, &secret).await?
            || !cluster.delete_unchanged(&secret).await?
        {
            continue;
        }
        for pod in pods
            .iter()
            .filter(|pod| label(pod, labels::CLUSTER) == Some(id))
        {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            cluster
                .delete::<Pod>(name, pod.metadata.uid.as_deref())
                .await?;
        }
        rights::take(cluster, id).await;
        removed.push(skiff.record.name);
    }
    Ok(removed)
}

/// The policy by which a cluster took itself down, from its head pod.
pub(crate) fn taken_down(pod: &Pod) -> Option<Autostop> {
    left_idle(pod).filter(|autostop| autostop.down)
}

/// The policy by which a cluster ended by itself, from its head pod.
pub(crate) fn left_idle(pod: &Pod) -> Option<Autostop> {
    if label(pod, labels::RANK) != Some("0") {
        return None;
    }
    let farewell = farewell(pod)?;
    farewell.autostop.filter(|_| farewell.left == Left::Idle)
}

/// The last words of the pod's agent, where it left by itself.
pub(crate) fn farewell(pod: &Pod) -> Option<Farewell> {
    let containers = pod.status.as_ref()?.container_statuses.iter().flatten();
    let mut tasks = containers.filter(|container| container.name == labels::TASK_CONTAINER);
    let ended = tasks.next()?.state.as_ref()?.terminated.as_ref()?;
    if ended.exit_code != 0 {
        return None;
    }
    Farewell::parse(ended.message.as_deref()?)
}

fn label<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.labels.as_ref()?.get(key).map(String::as_str)
}
