//! Jobs on a cluster: submit, list, cancel.

use k8s_openapi::api::core::v1::{Pod, Secret};
use skiff_compile::{ClusterName, NameError};
use skiff_kube::{Cluster, last_restart};
use skiff_proto::{JobId, JobRecord, LogPart, RESTARTED, Request, Response, STOPPED};
use skiff_schema::ResolvedTask;
use thiserror::Error;

use crate::cluster::{ClusterError, find};
use crate::connect::{AgentError, CONTAINER, Connection};
use crate::follow::{ENDS, FollowError, LogOptions, Outcome, Retries, follow, gone};
use crate::launchable::{NotLaunchable, executable};
use crate::status::{ClusterState, state_of};
use crate::sync::{Machine, Sources, SyncError};
use crate::{Event, Interrupt, Reporter, User, submissions};
use skiff_wire::SessionError;

mod submission;

pub(crate) use submission::{Submission, Submitted, submit};

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
    /// The files could not be synced.
    #[error(transparent)]
    Sync(#[from] SyncError),
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
            Self::Sync(error) => error.hint(),
            Self::Agent(error) => error.hint(),
            Self::Follow(error) => error.hint(),
        }
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
    /// The user's machine.
    pub machine: Machine,
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
    let mut sources = Sources::of(&request.task, false, &request.machine)?;
    let fetching = sources.fetch(reporter);
    let Some(variables) = interrupt.unless(fetching).await else {
        return Err(FollowError::Interrupted.into());
    };
    let variables = variables?;
    let name = ClusterName::new(&request.cluster, &request.user.hash)?;
    let pod = name.pod(0);
    let submission = request.task.run.is_some().then(|| {
        Submission::new(
            cluster,
            &request.cluster,
            &request.user,
            &request.task,
            None,
        )
        .with(variables)
    });
    let retries = Retries::new(cluster, &pod);
    let submitting = submit(retries, sources, submission, reporter);
    let submitted = match interrupt.unless(Box::pin(submitting)).await {
        Some(Ok(Some(submitted))) => submitted,
        Some(Ok(None)) => return Ok((None, None)),
        None => return Err(FollowError::Interrupted.into()),
        Some(Err(error)) => {
            return Err(explain(cluster, &request.user, &request.cluster, error).await);
        }
    };
    let job = submitted.job.clone();
    let wait = (!request.detach).then_some(interrupt);
    let outcome = Box::pin(see_through(cluster, &name, submitted, wait, reporter)).await?;
    Ok((Some(job), outcome))
}

/// Has the owner Secret remember a job that has just been submitted, and where it is waited for, follows it to its end.
pub(crate) async fn see_through(
    cluster: &Cluster,
    name: &ClusterName,
    submitted: Submitted,
    wait: Option<&Interrupt>,
    reporter: &dyn Reporter,
) -> Result<Option<Outcome>, FollowError> {
    let Submitted { job, connection } = submitted;
    let remembering = submissions::remember(cluster, name.as_str(), &job);
    let outcome = match wait {
        Some(interrupt) => {
            let options = LogOptions {
                job: Some(job.id),
                part: LogPart::Job,
                follow: true,
                tail: None,
            };
            let pod = name.pod(0);
            let retries = Retries::new(cluster, &pod).answered();
            let followed = follow(retries, Some(connection), &options, interrupt, reporter).await;
            Some(followed)
        }
        None => None,
    };
    // It does not panic, and is ended by nobody.
    let _ = remembering.await;
    let ended = match &outcome {
        Some(Ok(Outcome::Read(job))) => Some(job.clone()),
        Some(Err(FollowError::Gone { .. } | FollowError::Ended(_))) => {
            let why = format!("pod {} is gone", name.pod(0));
            Some(submissions::lost(job, &why))
        }
        _ => None,
    };
    if let Some(Ok(Outcome::Read(job))) = &outcome
        && let Some(why) = why_it_ended(cluster, &name.pod(0), job).await
    {
        reporter.event(Event::Note(why));
    }
    if let Some(ended) = ended {
        // Whether its end is remembered changes nothing of it.
        let _ = submissions::put(cluster, name.as_str(), &[ended]).await;
    }
    outcome.transpose()
}

/// What the pod knows of a job's end beyond its agent, in one sentence.
async fn why_it_ended(cluster: &Cluster, pod: &str, job: &JobRecord) -> Option<String> {
    let cause = job.cause.as_deref()?;
    if cause.starts_with(RESTARTED) {
        // The kubelet writes the status when it comes to it; what it does not know yet, the job's own cause stands for.
        let present = cluster.get::<Pod>(pod).await.ok()??;
        let end = last_restart(&present, CONTAINER)?;
        return Some(format!("pod {pod}, container {CONTAINER}: {end}"));
    }
    if cause == STOPPED {
        let why = cluster.pod_event(pod, ENDS).await?;
        return Some(format!("pod {pod}: {why}"));
    }
    None
}

/// All jobs of a cluster, oldest first: those that its agent knows, and those that went with an earlier head pod.
pub async fn queue(cluster: &Cluster, user: &User, name: &str) -> Result<Vec<JobRecord>, JobError> {
    let id = ClusterName::new(name, &user.hash)?;
    let (answer, owner) = tokio::join!(
        ask_jobs(cluster, user, name, Request::Queue),
        cluster.get::<Secret>(id.as_str()),
    );
    // An owner that cannot be read is explained where the agent did not answer either.
    let remembered = owner.ok().flatten().as_ref().map(submissions::remembered);
    let remembered = remembered.unwrap_or_default();
    let error = match answer {
        Ok(agents) => {
            let (all, news) = submissions::merge(remembered, agents);
            if !news.is_empty() {
                let _ = submissions::put(cluster, id.as_str(), &news).await;
            }
            return Ok(all);
        }
        Err(error) => error,
    };
    let JobError::NotUp { .. } = &error else {
        return Err(error);
    };
    match gone(cluster, &id.pod(0)).await {
        Some(why) if !remembered.is_empty() => Ok(remembered
            .into_iter()
            .map(|job| submissions::lost(job, &why))
            .collect()),
        _ => Err(error),
    }
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
            | JobError::Sync(SyncError::Agent(AgentError::Api(_)))
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
