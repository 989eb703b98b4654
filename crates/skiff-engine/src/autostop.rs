//! When a cluster ends by itself: told to its agent, which acts on it, and to its owner, which tells everybody.

use k8s_openapi::api::core::v1::Secret;
use skiff_compile::{ClusterRecord, Nodes, labels};
use skiff_kube::{ApiError, Cluster};
use skiff_proto::{Autostop, OwnerAccess, Request, WaitFor};
use thiserror::Error;

use crate::cluster::{ClusterError, find};
use crate::connect::{AgentError, Connection};
use crate::status::{ClusterState, state_of};
use crate::{User, rights};

/// How often the agent is tried where only the connection is at fault.
const TRIES: usize = 3;

/// Why it could not be said when a cluster ends.
#[derive(Debug, Error)]
pub enum AutostopError {
    /// There is no such cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// It does not run.
    #[error("the cluster `{name}` is not up{}", .why.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
    NotUp {
        /// The cluster.
        name: String,
        /// What is known of the reason.
        why: Option<String>,
    },
    /// It cannot be stopped.
    #[error(
        "the cluster `{name}` cannot be stopped: it has no home volume that would outlive its pods"
    )]
    NoHome {
        /// The cluster.
        name: String,
    },
    /// Its agent cannot be given the right to remove it.
    #[error("the agent cannot be given the right to delete the cluster")]
    Rights(#[source] ApiError),
    /// Its agent cannot be told.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// Its owner cannot be told.
    #[error("the agent keeps to it, and `skiff status` cannot show it")]
    Owner(#[source] ApiError),
}

impl AutostopError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Cluster(error) => error.hint(),
            Self::NotUp { name, .. } => Some(format!("`skiff launch -c {name} …` brings it up")),
            Self::NoHome { .. } => Some(
                "`--down` takes it down instead; one that is launched with `--config \
                 kubernetes.home_volume.size=50` can be stopped"
                    .to_owned(),
            ),
            Self::Agent(error) => error.hint(),
            Self::Rights(error) | Self::Owner(error) => error.hint(),
        }
    }
}

/// Says when the user's cluster of this name ends by itself; never where there is no policy.
pub async fn autostop(
    cluster: &Cluster,
    user: &User,
    name: &str,
    policy: Option<Autostop>,
) -> Result<(), AutostopError> {
    let found = find(cluster, user, name).await?;
    let (state, why) = state_of(cluster, &found)
        .await
        .map_err(ClusterError::from)?;
    if state != ClusterState::Up {
        let name = name.to_owned();
        return Err(AutostopError::NotUp { name, why });
    }
    if let Some(policy) = policy {
        check(&found.record, policy)?;
    }
    set(cluster, &found.id, policy).await
}

/// Whether a cluster can end in this way.
pub(crate) fn check(record: &ClusterRecord, policy: Autostop) -> Result<(), AutostopError> {
    if policy.down || record.home_volume.is_some() {
        return Ok(());
    }
    let name = record.name.clone();
    Err(AutostopError::NoHome { name })
}

/// Tells the agent of a cluster that is up, then its owner.
pub(crate) async fn set(
    cluster: &Cluster,
    id: &str,
    policy: Option<Autostop>,
) -> Result<(), AutostopError> {
    let takes_down = policy.is_some_and(|policy| policy.down);
    let owner = if takes_down {
        owner_access(cluster, id).await?
    } else {
        None
    };
    let request = Request::SetAutostop {
        autostop: policy,
        owner: owner.map(Box::new),
    };
    tell_agent(cluster, &format!("{id}-head"), &request).await?;
    let value = policy
        .map(|policy| serde_json::to_string(&policy).expect("plain data is always valid JSON"));
    let patch = serde_json::json!({ "metadata": { "annotations": { labels::AUTOSTOP: value } } });
    let patched = cluster.patch::<Secret>(id, &patch).await;
    patched.map(drop).map_err(AutostopError::Owner)
}

/// With what the agent can make its cluster vanish, where the user may give it that.
async fn owner_access(cluster: &Cluster, id: &str) -> Result<Option<OwnerAccess>, AutostopError> {
    let secret = cluster.get::<Secret>(id).await;
    let Some(secret) = secret.map_err(AutostopError::Rights)? else {
        return Ok(None);
    };
    let nodes = Nodes::from_secret(&secret).map_err(ClusterError::from)?;
    let uid = secret.metadata.uid.unwrap_or_default();
    let given = Box::pin(rights::give(cluster, &nodes, &uid)).await;
    given.map_err(AutostopError::Rights)
}

async fn tell_agent(cluster: &Cluster, pod: &str, request: &Request) -> Result<(), AgentError> {
    let mut tries = TRIES;
    loop {
        tries -= 1;
        let told = async {
            let connection = Connection::open(cluster, pod).await?;
            connection.ask(request.clone()).await
        };
        match told.await {
            Ok(_) => return Ok(()),
            Err(error) if tries > 0 && error.is_transient() => {}
            Err(error) => return Err(error),
        }
    }
}

/// A task's policy as agents know it.
pub(crate) fn policy(written: &skiff_schema::Autostop) -> Autostop {
    let wait_for = WaitFor::parse(&written.wait_for).unwrap_or_default();
    Autostop::after_minutes(written.idle_minutes, written.down, wait_for)
}
