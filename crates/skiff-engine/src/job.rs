//! Jobs on a cluster: submit, list, cancel.

use std::path::{Path, PathBuf};

use skiff_compile::{ClusterName, NameError};
use skiff_kube::Cluster;
use skiff_proto::{JobId, JobRecord, JobSpec, Request, Response};
use skiff_schema::{ResolvedTask, Workdir};
use thiserror::Error;

use crate::cluster::{ClusterError, find};
use crate::connect::{AgentError, Connection};
use crate::follow::{FollowError, LogOptions, Outcome, Retries, follow};
use crate::launchable::{NotLaunchable, executable};
use crate::status::{ClusterState, state_of};
use crate::workdir::{self, WorkdirError};
use crate::{Event, Interrupt, Reporter, User};
use skiff_wire::SessionError;

/// Why something could not be done with a cluster's jobs.
#[derive(Debug, Error)]
pub enum JobError {
    /// The task asks for what this version does not do.
    #[error(transparent)]
    NotLaunchable(#[from] NotLaunchable),
    /// The cluster is not there, or not readable.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The cluster's pod does not run.
    #[error("the cluster `{name}` is {state}, not UP")]
    NotUp {
        /// The cluster.
        name: String,
        /// Its state.
        state: ClusterState,
        /// Why, where that is known.
        why: Option<String>,
    },
    /// The workdir could not be uploaded.
    #[error(transparent)]
    Workdir(#[from] WorkdirError),
    /// The agent could not be asked, or refused.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The job's output cannot be read to its end.
    #[error(transparent)]
    Follow(#[from] FollowError),
}

impl From<NameError> for JobError {
    fn from(error: NameError) -> Self {
        Self::Cluster(error.into())
    }
}

impl JobError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotLaunchable(error) => error.hint(),
            Self::Cluster(error) => error.hint(),
            Self::NotUp { name, why, .. } => Some(why.clone().unwrap_or_else(|| {
                format!(
                    "`skiff launch -c {name} …` brings it up again, `skiff down {name}` removes it"
                )
            })),
            Self::Workdir(WorkdirError::Agent(error)) | Self::Agent(error) => error.hint(),
            Self::Workdir(_) => None,
            Self::Follow(error) => error.hint(),
        }
    }
}

/// The local folder that becomes the workdir.
pub(crate) fn folder(task: &ResolvedTask) -> Option<PathBuf> {
    match task.workdir.as_ref()? {
        Workdir::Folder(path) => Some(PathBuf::from(path)),
        Workdir::Git { .. } => None,
    }
}

/// A job on its way: the same one however often it is sent.
pub(crate) struct Submission(JobSpec);

impl Submission {
    /// Makes a job of a task; `setup` is what of its setup is to run.
    pub(crate) fn new(
        cluster: &Cluster,
        name: &str,
        user: &User,
        task: &ResolvedTask,
        setup: Option<String>,
    ) -> Self {
        let info = serde_json::json!({
            "cluster_name": name, "cloud": "Kubernetes", "region": cluster.context, "zone": null,
        });
        let mut env: std::collections::BTreeMap<String, String> = task
            .envs
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        env.insert("SKYPILOT_CLUSTER_INFO".to_owned(), info.to_string());
        env.insert("SKYPILOT_USER".to_owned(), user.name.clone());
        Self(JobSpec {
            submission: uuid::Uuid::new_v4().to_string(),
            name: task.name.clone(),
            user: user.name.clone(),
            setup,
            run: task.run.clone(),
            env,
            secrets: task
                .secrets
                .reveal()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            resources: task.resources_text(task.first()),
            num_nodes: task.num_nodes,
            milli_gpus: 0,
        })
    }
}

/// A job in the queue, and the connection over which it got there.
pub(crate) struct Submitted {
    pub(crate) job: JobRecord,
    pub(crate) connection: Connection,
}

/// Uploads the workdir and submits the job, over as many connections as it takes.
pub(crate) async fn submit(
    mut retries: Retries<'_>,
    workdir: Option<&Path>,
    submission: Option<Submission>,
    reporter: &dyn Reporter,
) -> Result<Option<Submitted>, JobError> {
    let (cluster, pod) = retries.target();
    loop {
        match try_submit(cluster, pod, workdir, submission.as_ref(), reporter).await {
            Ok(job) => return Ok(job),
            Err(JobError::Agent(error) | JobError::Workdir(WorkdirError::Agent(error)))
                if error.is_transient() =>
            {
                retries.pause(error, reporter).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn try_submit(
    cluster: &Cluster,
    pod: &str,
    workdir: Option<&Path>,
    submission: Option<&Submission>,
    reporter: &dyn Reporter,
) -> Result<Option<Submitted>, JobError> {
    if workdir.is_none() && submission.is_none() {
        return Ok(None);
    }
    let connection = Connection::open(cluster, pod).await?;
    if let Some(path) = workdir {
        let uploaded = workdir::upload(&connection, path).await?;
        let (files, bytes, elapsed) = (uploaded.files, uploaded.bytes, uploaded.elapsed);
        reporter.event(Event::WorkdirSynced {
            files,
            bytes,
            elapsed,
        });
    }
    let Some(Submission(job)) = submission else {
        return Ok(None);
    };
    match connection.ask(Request::Submit { job: job.clone() }).await? {
        Response::Submitted { job } => {
            reporter.event(Event::JobSubmitted { job: job.id });
            Ok(Some(Submitted { job, connection }))
        }
        _ => Err(Connection::failed(pod, SessionError::Unexpected).into()),
    }
}

/// What the user wants run on an existing cluster.
#[derive(Clone, Debug)]
pub struct ExecRequest {
    /// The cluster's name.
    pub cluster: String,
    /// The task; its setup is left out.
    pub task: ResolvedTask,
    /// Who asks.
    pub user: User,
    /// Do not wait for the job.
    pub detach: bool,
}

/// Runs a task on an existing cluster; the outcome is None where it was not waited for.
pub async fn exec(
    cluster: &Cluster,
    request: &ExecRequest,
    interrupt: &Interrupt,
    reporter: &dyn Reporter,
) -> Result<(Option<JobRecord>, Option<Outcome>), JobError> {
    executable(&request.task)?;
    let workdir = folder(&request.task);
    if let Some(workdir) = &workdir {
        workdir::check(workdir)?;
    }
    let pod = ClusterName::new(&request.cluster, &request.user.hash)?.pod(0);
    let submission = request.task.run.is_some().then(|| {
        Submission::new(
            cluster,
            &request.cluster,
            &request.user,
            &request.task,
            None,
        )
    });
    let retries = Retries::new(cluster, &pod);
    let submitting = submit(retries, workdir.as_deref(), submission, reporter);
    let Submitted { job, connection } = match interrupt.unless(submitting).await {
        Some(Ok(Some(submitted))) => submitted,
        Some(Ok(None)) => return Ok((None, None)),
        None => return Err(FollowError::Interrupted.into()),
        Some(Err(error)) => {
            return Err(explain(cluster, &request.user, &request.cluster, error).await);
        }
    };
    if request.detach {
        return Ok((Some(job), None));
    }
    let options = LogOptions {
        job: Some(job.id),
        follow: true,
        tail: None,
    };
    let retries = Retries::new(cluster, &pod).answered();
    let outcome = follow(retries, Some(connection), &options, interrupt, reporter).await?;
    Ok((Some(job), Some(outcome)))
}

/// All jobs of a cluster, oldest first.
pub async fn queue(cluster: &Cluster, user: &User, name: &str) -> Result<Vec<JobRecord>, JobError> {
    ask_jobs(cluster, user, name, Request::Queue).await
}

/// Streams a job's log until it ends or the user has enough.
pub async fn logs(
    cluster: &Cluster,
    user: &User,
    name: &str,
    options: &LogOptions,
    interrupt: &Interrupt,
    reporter: &dyn Reporter,
) -> Result<Outcome, JobError> {
    let pod = ClusterName::new(name, &user.hash)?.pod(0);
    let retries = Retries::new(cluster, &pod);
    match follow(retries, None, options, interrupt, reporter).await {
        Ok(outcome) => Ok(outcome),
        Err(error) => Err(explain(cluster, user, name, error.into()).await),
    }
}

/// Which jobs to cancel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelTarget {
    /// The newest one that has not ended.
    Newest,
    /// All that have not ended.
    All,
    /// These.
    Jobs(Vec<JobId>),
}

/// Cancels jobs and gives those that it cancelled.
pub async fn cancel(
    cluster: &Cluster,
    user: &User,
    name: &str,
    target: CancelTarget,
) -> Result<Vec<JobRecord>, JobError> {
    let jobs = match target {
        CancelTarget::All => Vec::new(),
        CancelTarget::Jobs(jobs) => jobs,
        CancelTarget::Newest => {
            let jobs = queue(cluster, user, name).await?;
            let Some(newest) = jobs.into_iter().rfind(|job| !job.status.is_final()) else {
                return Ok(Vec::new());
            };
            vec![newest.id]
        }
    };
    ask_jobs(cluster, user, name, Request::Cancel { jobs }).await
}

async fn ask_jobs(
    cluster: &Cluster,
    user: &User,
    name: &str,
    request: Request,
) -> Result<Vec<JobRecord>, JobError> {
    let pod = ClusterName::new(name, &user.hash)?.pod(0);
    let answer = async { Connection::open(cluster, &pod).await?.ask(request).await }.await;
    match answer {
        Ok(Response::Jobs { jobs }) => Ok(jobs),
        Ok(_) => Err(Connection::failed(&pod, SessionError::Unexpected).into()),
        Err(error) => Err(explain(cluster, user, name, error.into()).await),
    }
}

/// Finds out why a cluster's agent could not be reached: asking first would cost every command a round trip.
pub(crate) async fn explain(
    cluster: &Cluster,
    user: &User,
    name: &str,
    error: JobError,
) -> JobError {
    let unreached = matches!(
        &error,
        JobError::Agent(AgentError::Api(_))
            | JobError::Workdir(WorkdirError::Agent(AgentError::Api(_)))
            | JobError::Follow(
                FollowError::Agent(AgentError::Api(_))
                    | FollowError::Ended { .. }
                    | FollowError::Gone { .. }
            )
    );
    if !unreached {
        return error;
    }
    let found = match find(cluster, user, name).await {
        Ok(found) => found,
        Err(ClusterError::Api(_)) => return error,
        Err(missing) => return missing.into(),
    };
    match state_of(cluster, &found).await {
        Ok((ClusterState::Up, _)) | Err(_) => error,
        Ok((state, why)) => JobError::NotUp {
            name: name.to_owned(),
            state,
            why,
        },
    }
}
