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
    let oldest = Timestamp::now() - KEEP;
    aged.retain(|part| {
        part.creation_timestamp
            .as_ref()
            .is_some_and(|time| time.0 < oldest)
    });
    if aged.is_empty() {
        return Ok(());
    }
    let pods = cluster.list::<Pod>(labels::AGENT).await?;
    let used: BTreeSet<_> = pods.iter().filter_map(|pod| build(&pod.metadata)).collect();
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

fn build(metadata: &ObjectMeta) -> Option<&str> {
    metadata
        .labels
        .as_ref()?
        .get(labels::AGENT)
        .map(String::as_str)
}
