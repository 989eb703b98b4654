//! Skiff's use cases: launch, exec, logs, queue, cancel, status, stop, start, down.
//!
//! Each takes plain values, works on one [`skiff_kube::Cluster`] and tells its progress as [`Event`]s.
//! It must not print, prompt, or read the environment.

mod agents;
mod autostop;
mod check;
mod clock;
mod cluster;
mod connect;
mod docker;
mod down;
mod download;
mod event;
mod follow;
mod interrupt;
mod job;
mod launch;
mod launchable;
mod leftovers;
mod matched;
mod nodes;
mod owner;
mod preparation;
mod provision;
mod rights;
mod ssh;
mod status;
mod stop;
mod submissions;
mod sync;
mod volumes;

pub use autostop::{AutostopError, autostop};
pub use check::{
    DockerCheck, Finding, SelfTest, SelfTestError, Verdict, Way, check_docker, script, self_test,
};
pub use clock::now;
pub use cluster::{ClusterError, SkiffCluster};
pub use connect::AgentError;
pub use docker::{NodeDocker, ask_docker};
pub use down::{DownError, down};
pub use download::{Downloaded, download_logs, job};
pub use event::{Event, Reporter};
pub use follow::{FollowError, LogOptions, Outcome};
pub use interrupt::Interrupt;
pub use job::{CancelTarget, ExecRequest, JobError, cancel, exec, logs, queue};
pub use launch::{LaunchError, LaunchRequest, Launched, Prepared, facts, launch, prepare};
pub use launchable::{NotLaunchable, executable, launchable, only_task};
pub use leftovers::remove_leftovers;
pub use matched::Matched;
pub use owner::OwnerError;
pub use provision::ProvisionError;
pub use skiff_wire::SessionError;
pub use ssh::{SshAccess, SshError, ssh_access, ssh_bridge};
pub use status::{ClusterState, ClusterStatus, NodeStatus, running_clusters, status};
pub use stop::{StopError, start, stop};
pub use sync::{GitError, Machine, SyncError};
pub use volumes::{
    Phase, VolumeChange, VolumeClaim, VolumeError, VolumeLookup, VolumePlan, VolumeState,
    VolumeStatus, VolumesToDelete, apply_volume, delete_volume, find_volume, list_volumes,
    plan_volume,
};

/// An agent executable that this build of Skiff can deliver.
#[derive(Clone, Debug)]
pub struct AgentExecutable {
    /// Its architecture in Kubernetes' words: `amd64`.
    pub architecture: &'static str,
    /// Its bytes.
    pub bytes: std::borrow::Cow<'static, [u8]>,
}

/// Who uses Skiff.
#[derive(Clone, Debug)]
pub struct User {
    /// The name that tables show.
    pub name: String,
    /// Eight hex digits that stand for the user in names and labels.
    pub hash: String,
}
