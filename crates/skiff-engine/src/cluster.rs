//! A Skiff cluster, as its owner Secret tells of it.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use skiff_compile::{ClusterName, ClusterRecord, NameError, Nodes, RecordError, labels};
use skiff_kube::{ApiError, Cluster};
use skiff_proto::{Autostop, HookEvent, Hooks};
use thiserror::Error;

use crate::User;
use crate::preparation::Preparation;

/// Why a cluster could not be found.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// No cluster can have this name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is no such cluster.
    #[error("there is no cluster `{name}` in namespace {namespace} of context {context}")]
    NotFound {
        /// The name asked for.
        name: String,
        /// Where it was looked for.
        namespace: String,
        /// Where it was looked for.
        context: String,
    },
    /// Its record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The API server did not answer the question.
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl ClusterError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { .. } => Some(
                "`skiff status` lists your clusters; `skiff launch -c NAME …` makes one".to_owned(),
            ),
            Self::Api(error) => error.hint(),
            Self::Record(RecordError::Newer { .. }) => Some("use a newer Skiff".to_owned()),
            Self::Name(_) | Self::Record(_) => None,
        }
    }
}

/// How long the hooks of a cluster may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HookLimits {
    /// Before it is taken down.
    pub down: Duration,
    /// Before it is stopped.
    pub stop: Duration,
}

impl HookLimits {
    fn of(secret: &Secret) -> Self {
        let data = secret.data.as_ref();
        let hooks = data.and_then(|data| data.get(labels::HOOKS_KEY));
        // What cannot be read, the agents cannot read either.
        let hooks: Option<Hooks> = hooks.and_then(|json| serde_json::from_slice(&json.0).ok());
        let limit = |event| {
            let seconds = hooks.as_ref().map_or(0, |hooks| hooks.limit_s(event));
            Duration::from_secs(seconds)
        };
        Self {
            down: limit(HookEvent::Down),
            stop: limit(HookEvent::Stop),
        }
    }
}

/// A cluster that exists.
#[derive(Clone, Debug)]
pub struct SkiffCluster {
    /// Its name in Kubernetes: that of its owner Secret.
    pub id: String,
    /// The owner Secret's uid.
    pub uid: String,
    /// Its record.
    pub record: ClusterRecord,
    /// Whether a launch is under way.
    pub launching: bool,
    /// Its last setup.
    pub(crate) preparation: Option<Preparation>,
    /// When it ends by itself.
    pub autostop: Option<Autostop>,
    /// The hooks that its nodes run before it ends.
    pub hooks: HookLimits,
    /// When it was launched.
    pub created: Option<Timestamp>,
}

impl SkiffCluster {
    /// Reads an owner Secret.
    pub(crate) fn from_secret(secret: &Secret) -> Result<Self, RecordError> {
        let metadata = &secret.metadata;
        let annotation = |key| metadata.annotations.as_ref().and_then(|all| all.get(key));
        let autostop = annotation(labels::AUTOSTOP);
        Ok(Self {
            autostop: autostop.and_then(|json| serde_json::from_str(json).ok()),
            hooks: HookLimits::of(secret),
            id: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            record: ClusterRecord::from_secret(secret)?,
            launching: metadata
                .annotations
                .as_ref()
                .is_some_and(|a| a.contains_key(labels::LAUNCHING)),
            preparation: Preparation::from_secret(secret),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
        })
    }
}

/// The user's cluster of this name.
pub(crate) async fn find(
    cluster: &Cluster,
    user: &User,
    name: &str,
) -> Result<SkiffCluster, ClusterError> {
    let owner = find_owner(cluster, user, name).await?;
    Ok(SkiffCluster::from_secret(&owner)?)
}

/// The user's cluster of this name, and its nodes.
pub(crate) async fn find_with_nodes(
    cluster: &Cluster,
    user: &User,
    name: &str,
) -> Result<(SkiffCluster, Nodes), ClusterError> {
    let owner = find_owner(cluster, user, name).await?;
    Ok((
        SkiffCluster::from_secret(&owner)?,
        Nodes::from_secret(&owner)?,
    ))
}

/// The owner Secret of the user's cluster of this name.
pub(crate) async fn find_owner(
    cluster: &Cluster,
    user: &User,
    name: &str,
) -> Result<Secret, ClusterError> {
    let id = ClusterName::new(name, &user.hash)?;
    let owner = cluster.get::<Secret>(id.as_str()).await?;
    owner.ok_or_else(|| ClusterError::NotFound {
        name: name.to_owned(),
        namespace: cluster.namespace.clone(),
        context: cluster.context.clone(),
    })
}

/// Every cluster of the user, or of all users, by name. Secrets without a readable record are passed over.
pub(crate) async fn list(
    cluster: &Cluster,
    user: Option<&User>,
) -> Result<Vec<SkiffCluster>, ApiError> {
    let secrets = cluster.list::<Secret>(&selector(user)).await?;
    let mut clusters: Vec<SkiffCluster> = secrets
        .iter()
        .filter_map(|secret| SkiffCluster::from_secret(secret).ok())
        .collect();
    clusters.sort_by(|a, b| {
        a.record
            .name
            .cmp(&b.record.name)
            .then_with(|| a.id.cmp(&b.id))
    });
    Ok(clusters)
}

/// The label selector of a user's objects that belong to clusters.
pub(crate) fn selector(user: Option<&User>) -> String {
    match user {
        Some(user) => format!("{},{}={}", labels::CLUSTER, labels::USER, user.hash),
        None => labels::CLUSTER.to_owned(),
    }
}
