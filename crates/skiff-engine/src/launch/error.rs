//! Why a launch fails, and what can be done about it.

use skiff_compile::CompileError;
use skiff_kube::ApiError;
use thiserror::Error;

use crate::autostop::AutostopError;
use crate::cluster::ClusterError;
use crate::follow::FollowError;
use crate::job::JobError;
use crate::launchable::NotLaunchable;
use crate::owner::OwnerError;
use crate::provision::ProvisionError;
use crate::sync::SyncError;

/// Why a launch failed.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// The task asks for what this version does not do.
    #[error(transparent)]
    NotLaunchable(#[from] NotLaunchable),
    /// The task cannot become Kubernetes objects.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The API server did not answer, or refused.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The cluster of this name cannot be read.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The cluster of this name was made for something else.
    #[error("the cluster `{name}` has {has}, the task wants {wants}")]
    Differs {
        /// The cluster.
        name: String,
        /// What the cluster has.
        has: String,
        /// What the task wants.
        wants: String,
    },
    /// The owner Secret cannot be had.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// It could not be said when the cluster ends by itself.
    #[error(transparent)]
    Autostop(#[from] AutostopError),
    /// A pod does not come up.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// The files cannot be synced.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// The job cannot be submitted.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The job's output cannot be read to its end.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The user ended it before the job was submitted.
    #[error("interrupted before the job was submitted{}", if *.undone { "; what this launch had created is removed" } else { "" })]
    Interrupted {
        /// Whether there was something to remove.
        undone: bool,
    },
    /// The user ended it, and what was created could not be removed.
    #[error("interrupted, and the cluster `{name}` could not be removed")]
    NotUndone {
        /// The cluster.
        name: String,
        /// Why.
        #[source]
        source: ApiError,
    },
}

impl LaunchError {
    /// Whether it may succeed later as it is: there is no room for it now.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Provision(ProvisionError::NoRoom(_))
            | Self::Compile(CompileError::TooLarge { .. }) => true,
            Self::Provision(ProvisionError::Api(error)) => error.is_over_quota(),
            _ => false,
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotLaunchable(error) => error.hint(),
            Self::Compile(error) => error.hint(),
            Self::Api(error) | Self::Owner(OwnerError::Api(error)) => error.hint(),
            Self::Cluster(error) => error.hint(),
            Self::Differs { name, .. } => Some(format!(
                "`skiff down {name}` first, or choose another name with `-c`"
            )),
            Self::Autostop(error) => error.hint(),
            Self::Provision(error) => error.hint(),
            Self::Sync(error) => error.hint(),
            Self::Job(error) => error.hint(),
            Self::Follow(error) => error.hint(),
            Self::NotUndone { name, .. } => Some(format!("`skiff down {name}` removes it")),
            Self::Owner(OwnerError::Record(_)) | Self::Interrupted { .. } => None,
        }
    }
}
