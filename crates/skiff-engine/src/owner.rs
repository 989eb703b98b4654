//! The owner Secret as a lock: whose launch is under way, who joins it, who may undo it.
//!
//! While a launch is under way the Secret carries an annotation that only this launch writes. Who finds another's
//! fresh one joins that launch; who finds none, or one that nobody can be working under any more, takes over.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::SignedDuration;
use skiff_compile::{Nodes, Plan, RecordError, labels};
use skiff_kube::{ApiError, Cluster};
use skiff_proto::ClusterKey;
use thiserror::Error;
use uuid::Uuid;

use crate::{nodes, rights};

/// After this time a launch that has not come to its end is taken for dead.
const STALE: SignedDuration = SignedDuration::from_mins(10);

/// Why the owner Secret cannot be had.
#[derive(Debug, Error)]
pub enum OwnerError {
    /// The API server refused something.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Another launch is under way, and what it makes cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
}

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

/// The owner Secret of a launch that makes a cluster.
pub(crate) struct Owner {
    /// Its uid.
    pub(crate) uid: String,
    /// The nodes of the launch that is under way: another's where this one joins it.
    pub(crate) nodes: Nodes,
    /// Whether another's is under way.
    pub(crate) joined: bool,
}

/// Creates the owner, joins a launch that is under way, or takes over what somebody left.
pub(crate) async fn create(cluster: &Cluster, plan: &Plan) -> Result<Owner, OwnerError> {
    let name = plan.cluster.as_str();
    let own = |secret: Secret| Owner {
        uid: secret.metadata.uid.unwrap_or_default(),
        nodes: plan.nodes.clone(),
        joined: false,
    };
    loop {
        match cluster.create(&plan.owner).await {
            Err(error) if error.is_conflict() => {}
            result => return Ok(own(result?)),
        }
        let Some(present) = cluster.get::<Secret>(name).await? else {
            continue;
        };
        if is_under_way(cluster, &present).await? {
            return Ok(Owner {
                nodes: Nodes::from_secret(&present)?,
                uid: present.metadata.uid.unwrap_or_default(),
                joined: true,
            });
        }
        let mut annotations = serde_json::json!({ labels::AUTOSTOP: null });
        for (key, value) in plan.owner.metadata.annotations.iter().flatten() {
            annotations[key] = value.clone().into();
        }
        let patch = serde_json::json!({
            "metadata": {
                "annotations": annotations,
                // Of two that take over at the same time, one is told to look again.
                "resourceVersion": present.metadata.resource_version,
            },
            // Secrets of an earlier launch that this one does not have.
            "data": { labels::SECRETS_KEY: null, labels::HOOKS_KEY: null },
            "stringData": texts_for(plan, &present),
        });
        match cluster.patch::<Secret>(name, &patch).await {
            Err(error) if error.is_conflict() || error.is_not_found() => {}
            result => return Ok(own(result?)),
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

/// Puts the secrets and hooks of a launch into the owner of a cluster that is up already.
pub(crate) async fn renew_secrets(cluster: &Cluster, plan: &Plan) -> Result<(), ApiError> {
    let texts = plan.owner.string_data.as_ref();
    let given = |key| texts.and_then(|texts| texts.get(key));
    let mut patch = serde_json::json!({});
    if let Some(secrets) = given(labels::SECRETS_KEY) {
        patch["stringData"][labels::SECRETS_KEY] = secrets.clone().into();
    }
    match given(labels::HOOKS_KEY) {
        Some(hooks) => patch["stringData"][labels::HOOKS_KEY] = hooks.clone().into(),
        None => patch["data"][labels::HOOKS_KEY] = serde_json::Value::Null,
    }
    let name = plan.cluster.as_str();
    cluster.patch::<Secret>(name, &patch).await.map(drop)
}

/// Removes the cluster.
pub(crate) async fn remove(cluster: &Cluster, plan: &Plan) -> Result<(), ApiError> {
    nodes::delete(cluster, &plan.nodes).await;
    nodes::delete_services(cluster, &plan.nodes).await;
    if plan.takes_itself_down {
        rights::take(cluster, plan.cluster.as_str()).await;
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

/// Whether somebody is launching the cluster.
pub(crate) async fn is_under_way(cluster: &Cluster, secret: &Secret) -> Result<bool, ApiError> {
    Ok(launching(secret).is_some() && !is_stale(cluster, secret).await?)
}

/// Whether nobody has changed the Secret for so long that the launch which marked it is dead. By the API server's clock
/// alone: those of two users may be days apart.
async fn is_stale(cluster: &Cluster, secret: &Secret) -> Result<bool, ApiError> {
    let metadata = &secret.metadata;
    let changes = metadata.managed_fields.iter().flatten();
    let last = changes.filter_map(|change| change.time.as_ref()).max();
    let Some(last) = last.or(metadata.creation_timestamp.as_ref()) else {
        return Ok(true);
    };
    Ok(cluster.time().await?.duration_since(last.0) > STALE)
}
