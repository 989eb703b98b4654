//! The agent's Secrets in a namespace: delivered before the first pod that needs them, removed when nothing does.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use skiff_compile::{agent_secrets, labels};
use skiff_kube::{ApiError, Cluster};

use crate::AgentExecutable;

/// How old a build must be before it may go: a launch that has not created its pod yet needs its own.
const KEEP: SignedDuration = SignedDuration::from_hours(24);

/// Creates the Secrets that are not there. They are named by their content: one that exists is the right one.
pub(crate) async fn deliver(cluster: &Cluster, agents: &[AgentExecutable]) -> Result<(), ApiError> {
    let secrets = agents.iter().flat_map(|agent| agent_secrets(&agent.bytes));
    try_join_all(secrets.map(|secret| async move {
        let name = secret.metadata.name.as_deref().unwrap_or_default();
        if cluster.exists::<Secret>(name).await? {
            return Ok(());
        }
        match cluster.create(&secret).await {
            Err(error) if !error.is_conflict() => Err(error),
            _ => Ok(()),
        }
    }))
    .await?;
    Ok(())
}

/// Removes builds that no pod uses any more.
pub(crate) async fn prune(cluster: &Cluster) -> Result<(), ApiError> {
    // The owner Secrets of clusters name their agent too: they are no parts of a build.
    let parts = format!("{},!{}", labels::AGENT, labels::CLUSTER);
    let mut aged = cluster.list_metadata::<Secret>(&parts).await?;
    retain_aged(&mut aged, Timestamp::now());
    if aged.is_empty() {
        return Ok(());
    }
    // Somebody's launch may need what only a wrong clock takes for old.
    retain_aged(&mut aged, cluster.time().await?);
    let pods = cluster.list::<Pod>(labels::AGENT).await?;
    // A cluster that is stopped has no pods now, and needs its build when it starts.
    let owners = format!("{},{}", labels::AGENT, labels::CLUSTER);
    let owners = cluster.list_metadata::<Secret>(&owners).await?;
    let pods = pods.iter().map(|pod| &pod.metadata);
    let used: BTreeSet<_> = pods.chain(&owners).filter_map(build).collect();
    for part in aged
        .iter()
        .filter(|part| build(part).is_some_and(|build| !used.contains(build)))
    {
        cluster
            .delete::<Secret>(
                part.name.as_deref().unwrap_or_default(),
                part.uid.as_deref(),
            )
            .await?;
    }
    Ok(())
}

/// Keeps what was old at this time.
fn retain_aged(parts: &mut Vec<ObjectMeta>, now: Timestamp) {
    let oldest = now - KEEP;
    parts.retain(|part| {
        let created = part.creation_timestamp.as_ref();
        created.is_some_and(|created| created.0 < oldest)
    });
}

fn build(metadata: &ObjectMeta) -> Option<&str> {
    metadata
        .labels
        .as_ref()?
        .get(labels::AGENT)
        .map(String::as_str)
}
