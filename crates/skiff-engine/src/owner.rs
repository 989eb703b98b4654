//! The owner Secret as a lock: whose launch is under way, who joins it, who may undo it.
//!
//! While a launch is under way the Secret carries an annotation that only this launch writes. Who finds another's
//! fresh one joins that launch; who finds none, or one that nobody can be working under any more, takes over.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use skiff_compile::{Plan, labels};
use skiff_kube::{ApiError, Cluster};
use skiff_proto::ClusterKey;
use uuid::Uuid;

/// After this time a launch that has not come to its end is taken for dead.
const STALE: SignedDuration = SignedDuration::from_mins(10);

/// The mark of one launch: when it began, and something that no other has.
pub(crate) fn mark(now: &str) -> String {
    format!("{now} {}", Uuid::new_v4())
}

/// A key for a cluster that does not have one: two identities have 244 random bits.
pub(crate) fn new_key() -> ClusterKey {
    let halves = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes);
    let mut key = [0; 32];
    key.copy_from_slice(halves.as_flattened());
    ClusterKey::new(key)
}

/// Creates the owner, joins a launch that is under way, or takes over what somebody left. Gives the owner's uid.
pub(crate) async fn create(cluster: &Cluster, plan: &Plan) -> Result<String, ApiError> {
    let name = plan.cluster.as_str();
    loop {
        match cluster.create(&plan.owner).await {
            Err(error) if error.is_conflict() => {}
            result => return Ok(result?.metadata.uid.unwrap_or_default()),
        }
        let Some(present) = cluster.get::<Secret>(name).await? else {
            continue;
        };
        if launching(&present).is_some_and(|mark| !is_stale(mark)) {
            return Ok(present.metadata.uid.unwrap_or_default());
        }
        let patch = serde_json::json!({
            "metadata": {
                "annotations": plan.owner.metadata.annotations,
                // Of two that take over at the same time, one is told to look again.
                "resourceVersion": present.metadata.resource_version,
            },
            // Secrets of an earlier launch that this one does not have.
            "data": { labels::SECRETS_KEY: null },
            "stringData": texts_for(plan, &present),
        });
        match cluster.patch::<Secret>(name, &patch).await {
            Err(error) if error.is_conflict() || error.is_not_found() => {}
            result => return Ok(result?.metadata.uid.unwrap_or_default()),
        }
    }
}

/// What the owner is to hold; a key that is there stays, for pods and users know it.
fn texts_for(plan: &Plan, present: &Secret) -> BTreeMap<String, String> {
    let mut texts = plan.owner.string_data.clone().unwrap_or_default();
    let held = present.data.as_ref();
    if held.is_some_and(|held| held.contains_key(labels::CLUSTER_KEY)) {
        texts.remove(labels::CLUSTER_KEY);
    }
    texts
}

/// Tells others that the launch is through.
pub(crate) async fn release(cluster: &Cluster, plan: &Plan) -> Result<(), ApiError> {
    let patch = serde_json::json!({ "metadata": { "annotations": { labels::LAUNCHING: null } } });
    match cluster.patch::<Secret>(plan.cluster.as_str(), &patch).await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

/// Whether the cluster is this launch's own: nobody else has used it since.
pub(crate) async fn is_own(cluster: &Cluster, plan: &Plan) -> Result<bool, ApiError> {
    let present = cluster.get::<Secret>(plan.cluster.as_str()).await?;
    Ok(present.is_some_and(|secret| launching(&secret) == launching(&plan.owner)))
}

/// Puts the secrets of a launch into the owner of a cluster that is up already.
pub(crate) async fn renew_secrets(cluster: &Cluster, plan: &Plan) -> Result<(), ApiError> {
    let texts = plan.owner.string_data.as_ref();
    let secrets = texts.and_then(|texts| texts.get(labels::SECRETS_KEY));
    let Some(secrets) = secrets else {
        return Ok(());
    };
    let patch = serde_json::json!({ "stringData": { labels::SECRETS_KEY: secrets } });
    let name = plan.cluster.as_str();
    cluster.patch::<Secret>(name, &patch).await.map(drop)
}

/// Removes the cluster.
pub(crate) async fn remove(cluster: &Cluster, plan: &Plan) -> Result<(), ApiError> {
    // What cannot be deleted, for want of the right perhaps, goes with its owner.
    for pod in plan.pod_names() {
        let _ = cluster.delete::<Pod>(&pod, None).await;
    }
    for service in plan.services("") {
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let _ = cluster.delete::<Service>(name, None).await;
    }
    for secret in &plan.secrets {
        let name = secret.metadata.name.as_deref().unwrap_or_default();
        let _ = cluster.delete::<Secret>(name, None).await;
    }
    cluster
        .delete::<Secret>(plan.cluster.as_str(), None)
        .await?;
    Ok(())
}

fn launching(secret: &Secret) -> Option<&str> {
    secret
        .metadata
        .annotations
        .as_ref()?
        .get(labels::LAUNCHING)
        .map(String::as_str)
}

fn is_stale(mark: &str) -> bool {
    let began = mark
        .split_once(' ')
        .and_then(|(began, _)| began.parse::<Timestamp>().ok());
    began.is_none_or(|began| Timestamp::now().duration_since(began) > STALE)
}
