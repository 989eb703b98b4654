//! Stop and start: the pods go and come again, the homes stay.

use skiff_compile::{Nodes, RecordError};
use skiff_kube::{ApiError, Cluster};
use skiff_proto::Ending;
use skiff_schema::ProvisionTimeout;
use thiserror::Error;

use crate::autostop::{self, AutostopError};
use crate::cluster::{ClusterError, SkiffCluster, find_with_nodes};
use crate::down::remove_pods;
use crate::job::JobError;
use crate::launch::{introduce, mend};
use crate::nodes;
use crate::provision::ProvisionError;
use crate::status::{ClusterState, state_of};
use crate::{AgentExecutable, Event, Interrupt, Reporter, User};

/// Why a cluster could not be stopped or started.
#[derive(Debug, Error)]
pub enum StopError {
    /// The cluster is not there, or not readable.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Nothing of it would stay.
    #[error("the cluster `{name}` cannot be stopped: its home goes with its pods")]
    NoHome {
        /// The cluster.
        name: String,
    },
    /// The API server refused something.
    #[error("cannot stop the cluster `{name}`")]
    Api {
        /// The cluster.
        name: String,
        /// Why.
        #[source]
        source: ApiError,
    },
    /// A pod does not come up.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// The head could not be told where the nodes are.
    #[error(transparent)]
    Head(#[from] JobError),
    /// The head could not be told when the cluster ends by itself.
    #[error(transparent)]
    Autostop(#[from] AutostopError),
    /// The user ended it.
    #[error("interrupted; the cluster `{name}` is as it was")]
    Interrupted {
        /// The cluster.
        name: String,
    },
}

impl From<RecordError> for StopError {
    fn from(error: RecordError) -> Self {
        Self::Cluster(error.into())
    }
}

impl StopError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Cluster(error) => error.hint(),
            Self::NoHome { name } => Some(format!(
                "a cluster that was launched with `--config kubernetes.home_volume.size=50`, or with that in the \
                 configuration, can be stopped; `skiff down {name}` takes this one down"
            )),
            Self::Api { source, .. } => source.hint(),
            Self::Provision(error) => error.hint(),
            Self::Head(error) => error.hint(),
            Self::Autostop(error) => error.hint(),
            Self::Interrupted { .. } => None,
        }
    }
}

/// Stops a cluster and returns once its pods are gone. One that is stopped stays so.
pub async fn stop(
    cluster: &Cluster,
    skiff: &SkiffCluster,
    reporter: &dyn Reporter,
) -> Result<(), StopError> {
    let name = skiff.record.name.clone();
    if skiff.record.home_volume.is_none() {
        return Err(StopError::NoHome { name });
    }
    reporter.event(Event::Stopping {
        cluster: name.clone(),
    });
    remove_pods(cluster, skiff, Ending::Stop, reporter)
        .await
        .map_err(|source| StopError::Api { name, source })
}

/// Starts a cluster that was stopped, and makes pods again that are gone. One that is up stays as it is.
pub async fn start(
    cluster: &Cluster,
    user: &User,
    name: &str,
    agents: &[AgentExecutable],
    patience: Option<ProvisionTimeout>,
    (interrupt, reporter): (&Interrupt, &dyn Reporter),
) -> Result<(), StopError> {
    let (skiff, nodes) = find_with_nodes(cluster, user, name).await?;
    let (before, _) = state_of(cluster, &skiff)
        .await
        .map_err(ClusterError::from)?;
    let starting = bring_up(cluster, &skiff, &nodes, agents, patience, reporter);
    let result = Box::pin(interrupt.unless(starting)).await;
    if !matches!(result, Some(Ok(()))) && before == ClusterState::Stopped {
        nodes::delete(cluster, &nodes).await;
    }
    match result {
        Some(result) => result,
        None => Err(StopError::Interrupted {
            name: name.to_owned(),
        }),
    }
}

async fn bring_up(
    cluster: &Cluster,
    skiff: &SkiffCluster,
    nodes: &Nodes,
    agents: &[AgentExecutable],
    patience: Option<ProvisionTimeout>,
    reporter: &dyn Reporter,
) -> Result<(), StopError> {
    mend(cluster, skiff, nodes, agents, patience, reporter).await?;
    introduce(cluster, nodes, reporter).await?;
    // The agent that knew is gone.
    if skiff.autostop.is_some() {
        autostop::set(cluster, &skiff.id, skiff.autostop).await?;
    }
    reporter.event(Event::PodUp {
        cluster: skiff.record.name.clone(),
        reused: true,
    });
    Ok(())
}
