//! Launch: a task becomes a cluster, or goes to the one that is there, and runs.

use k8s_openapi::api::core::v1::{Pod, Secret};
use skiff_compile::{AgentBuild, ClusterName, CompileError, Ids, Input, Plan, compile};
use skiff_kube::{ApiError, Cluster, PodState, observe};
use skiff_proto::{JobId, JobRecord};
use skiff_schema::{DockerMode, KubernetesConfig, ResolvedTask};
use thiserror::Error;

use crate::cluster::{ClusterError, SkiffCluster};
use crate::follow::{FollowError, Outcome, Retries};
use crate::job::{JobError, Submission, Submitted, see_through, submit};
use crate::launchable::{NotLaunchable, launchable};
use crate::provision::{CONTAINERS, ProvisionError, create, renew, wait_all_running};
use crate::sync::{Machine, Sources, SyncError};
use crate::{AgentExecutable, Event, Interrupt, Reporter, User, owner, submissions};

/// What the user wants launched.
#[derive(Clone, Debug)]
pub struct LaunchRequest {
    /// The cluster's name.
    pub cluster: String,
    /// The task.
    pub task: ResolvedTask,
    /// The configuration for the task and context.
    pub config: KubernetesConfig,
    /// Who launches.
    pub user: User,
    /// The user's machine.
    pub machine: Machine,
    /// The agents that can be delivered.
    pub agents: Vec<AgentExecutable>,
    /// The command line, for `status -v`.
    pub command: String,
    /// The moment, RFC 3339.
    pub now: String,
    /// Leave out the task's setup.
    pub no_setup: bool,
    /// Do not wait for the job.
    pub detach: bool,
}

/// A launch that was thought through and has changed nothing yet.
#[derive(Debug)]
pub struct Prepared {
    request: LaunchRequest,
    /// What is created where it does not exist.
    pub plan: Plan,
    /// The cluster of this name, where there is one with a pod that runs or starts.
    pub existing: Option<SkiffCluster>,
    /// What of the task is not acted on, one sentence each.
    pub notes: Vec<String>,
    /// Whether its pod runs already.
    running: bool,
    /// The last job that is known of an earlier head pod; 0: none.
    last_job: JobId,
}

/// How a launch ended well.
#[derive(Debug)]
pub struct Launched {
    /// The job, where the task has something to run or set up.
    pub job: Option<JobRecord>,
    /// How the job's output ended, unless it was not waited for.
    pub outcome: Option<Outcome>,
}

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
    /// The pod does not come up.
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
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotLaunchable(error) => error.hint(),
            Self::Compile(error) => error.hint(),
            Self::Api(error) => error.hint(),
            Self::Cluster(error) => error.hint(),
            Self::Differs { name, .. } => Some(format!(
                "`skiff down {name}` first, or choose another name with `-c`"
            )),
            Self::Provision(error) => error.hint(),
            Self::Sync(error) => error.hint(),
            Self::Job(error) => error.hint(),
            Self::Follow(error) => error.hint(),
            Self::NotUndone { name, .. } => Some(format!("`skiff down {name}` removes it")),
            Self::Interrupted { .. } => None,
        }
    }
}

/// Reads the cluster's facts and thinks the launch through.
pub async fn prepare(cluster: &Cluster, request: LaunchRequest) -> Result<Prepared, LaunchError> {
    let mut notes = launchable(&request.task, &request.config)?;
    // What is not there is told before anything is created for it.
    Sources::of(&request.task, true, &request.machine)?;
    let name =
        ClusterName::new(&request.cluster, &request.user.hash).map_err(CompileError::from)?;
    let pod_name = name.pod(0);
    let (facts, secret, pod) = tokio::try_join!(
        cluster.facts(),
        cluster.get::<Secret>(name.as_str()),
        cluster.get::<Pod>(&pod_name),
    )?;
    let architectures: Vec<&str> = request
        .agents
        .iter()
        .map(|agent| agent.architecture)
        .collect();
    let plan = compile(&Input {
        task: &request.task,
        resources: request.task.first(),
        config: &request.config,
        facts: &facts,
        ids: &Ids {
            cluster: request.cluster.clone(),
            user: request.user.name.clone(),
            user_hash: request.user.hash.clone(),
            namespace: cluster.namespace.clone(),
            context: cluster.context.clone(),
            launching: Some(owner::mark(&request.now)),
            command: request.command.clone(),
            key: owner::new_key(),
        },
        agent: &AgentBuild::of(&request.agents[0].bytes, &architectures),
    })?;
    let state = pod.as_ref().map(|pod| observe(pod, CONTAINERS));
    let alive = matches!(
        state,
        Some(PodState::Running | PodState::Waiting(_) | PodState::Stuck { .. })
    );
    let remembered = secret.as_ref().map(submissions::remembered);
    let last_job = remembered.iter().flatten().last().map_or(0, |job| job.id);
    let existing = match secret {
        Some(secret) if alive => {
            Some(SkiffCluster::from_secret(&secret).map_err(ClusterError::from)?)
        }
        _ => None,
    };
    if let Some(existing) = &existing {
        check_fit(&request, &plan, existing)?;
        if existing.record.pod_config != plan.record.pod_config {
            notes.push(format!(
                "`pod_config` has changed since the cluster was made, and its pods stay as they are: `skiff down {}` and launch again",
                request.cluster
            ));
        }
    }
    Ok(Prepared {
        request,
        plan,
        existing,
        notes,
        running: state == Some(PodState::Running),
        last_job,
    })
}

/// Whether the task can run on the cluster of this name.
fn check_fit(
    request: &LaunchRequest,
    plan: &Plan,
    existing: &SkiffCluster,
) -> Result<(), LaunchError> {
    let differs = |has: &str, wants: &str| {
        Err(LaunchError::Differs {
            name: request.cluster.clone(),
            has: has.to_owned(),
            wants: wants.to_owned(),
        })
    };
    let record = &existing.record;
    if request.config.enable_docker == DockerMode::All && record.docker == DockerMode::Off {
        return differs("no Docker", "Docker");
    }
    let wanted = &plan.record.image;
    if request.task.first().image.is_some() && *wanted != record.image {
        return differs(
            &format!("the image {}", record.image),
            &format!("the image {wanted}"),
        );
    }
    Ok(())
}

/// Carries a prepared launch out.
pub async fn launch(
    cluster: &Cluster,
    prepared: &Prepared,
    interrupt: &Interrupt,
    reporter: &dyn Reporter,
) -> Result<Launched, LaunchError> {
    let work = start(cluster, prepared, reporter);
    let submitted = match Box::pin(interrupt.unless(work)).await {
        Some(Ok(submitted)) => submitted,
        Some(Err(error @ LaunchError::Provision(_))) => {
            // The failure is what the user must know; what is left is removed by the next launch or `down`.
            let _ = undo(cluster, prepared, reporter).await;
            return Err(error);
        }
        // The cluster is up: a job that could not be submitted leaves it as it is, for the next try.
        Some(Err(error)) => return Err(error),
        None => return Err(interrupted(cluster, prepared, reporter).await),
    };
    let Some(submitted) = submitted else {
        return Ok(Launched {
            job: None,
            outcome: None,
        });
    };
    let job = submitted.job.clone();
    let wait = (!prepared.request.detach).then_some(interrupt);
    let name = &prepared.plan.cluster;
    let outcome = Box::pin(see_through(cluster, name, submitted, wait, reporter)).await?;
    Ok(Launched {
        job: Some(job),
        outcome,
    })
}

/// Everything up to the submitted job.
async fn start(
    cluster: &Cluster,
    prepared: &Prepared,
    reporter: &dyn Reporter,
) -> Result<Option<Submitted>, LaunchError> {
    let Prepared {
        request,
        plan,
        existing,
        notes,
        running,
        last_job,
    } = prepared;
    let mut sources = Sources::of(&request.task, true, &request.machine)?;
    let variables = sources.fetch(reporter).await?;
    let pod = plan.cluster.pod(0);
    for note in notes {
        reporter.event(Event::Note(note.clone()));
    }
    if !running {
        for note in &plan.notes {
            reporter.event(Event::Note(note.clone()));
        }
        reporter.event(Event::Creating {
            cluster: request.cluster.clone(),
        });
        create(cluster, plan, &request.agents).await?;
        wait_all_running(cluster, plan, request.config.provision_timeout, reporter).await?;
    } else if let Some(existing) = existing {
        renew(cluster, plan, &existing.uid).await?;
    }
    reporter.event(Event::PodUp {
        cluster: request.cluster.clone(),
        reused: existing.is_some(),
    });
    let setup = request.task.setup.clone().filter(|_| !request.no_setup);
    let submission = (setup.is_some() || request.task.run.is_some()).then(|| {
        Submission::new(
            cluster,
            &request.cluster,
            &request.user,
            &request.task,
            setup,
        )
        .with(variables)
        .after(*last_job)
    });
    let retries = Retries::new(cluster, &pod).answered();
    let submitted = submit(retries, sources, submission, reporter).await?;
    if !running {
        owner::release(cluster, plan).await?;
    }
    Ok(submitted)
}

/// The error of a launch that the user ended, after it was undone.
async fn interrupted(
    cluster: &Cluster,
    prepared: &Prepared,
    reporter: &dyn Reporter,
) -> LaunchError {
    match undo(cluster, prepared, reporter).await {
        Ok(undone) => LaunchError::Interrupted { undone },
        Err(source) => LaunchError::NotUndone {
            name: prepared.request.cluster.clone(),
            source,
        },
    }
}

/// Removes what this launch created, unless somebody else has come to use it; true if it did.
async fn undo(
    cluster: &Cluster,
    prepared: &Prepared,
    reporter: &dyn Reporter,
) -> Result<bool, ApiError> {
    if prepared.running || !owner::is_own(cluster, &prepared.plan).await? {
        return Ok(false);
    }
    reporter.event(Event::Undoing {
        cluster: prepared.request.cluster.clone(),
    });
    owner::remove(cluster, &prepared.plan).await?;
    Ok(true)
}
