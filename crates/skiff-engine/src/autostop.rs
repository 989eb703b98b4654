//! When a cluster ends by itself: told to its agent, which acts on it, and to its owner, which tells everybody.

use k8s_openapi::api::core::v1::Secret;
use skiff_compile::labels;
use skiff_kube::{ApiError, Cluster};
use skiff_proto::{Autostop, Request, WaitFor};
use thiserror::Error;

use crate::User;
use crate::cluster::{ClusterError, find};
use crate::connect::{AgentError, Connection};
use crate::status::{ClusterState, state_of};

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
            Self::NoHome { .. } => Some("`--down` takes it down instead".to_owned()),
            Self::Agent(error) => error.hint(),
            Self::Owner(error) => error.hint(),
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
    if policy.is_some_and(|policy| !policy.down) {
        let name = name.to_owned();
        return Err(AutostopError::NoHome { name });
    }
    set(cluster, &found.id, policy).await
}

/// Tells the agent of a cluster that is up, then its owner.
pub(crate) async fn set(
    cluster: &Cluster,
    id: &str,
    policy: Option<Autostop>,
) -> Result<(), AutostopError> {
    tell_agent(cluster, &format!("{id}-head"), policy).await?;
    let value = policy
        .map(|policy| serde_json::to_string(&policy).expect("plain data is always valid JSON"));
    let patch = serde_json::json!({ "metadata": { "annotations": { labels::AUTOSTOP: value } } });
    let patched = cluster.patch::<Secret>(id, &patch).await;
    patched.map(drop).map_err(AutostopError::Owner)
}

async fn tell_agent(
    cluster: &Cluster,
    pod: &str,
    policy: Option<Autostop>,
) -> Result<(), AgentError> {
    let mut tries = TRIES;
    loop {
        tries -= 1;
        let told = async {
            let connection = Connection::open(cluster, pod).await?;
            connection
                .ask(Request::SetAutostop { autostop: policy })
                .await
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
