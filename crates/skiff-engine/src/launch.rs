//! Launch: a task becomes a cluster, or goes to the one that is there, and runs.

use k8s_openapi::api::core::v1::{Pod, Secret};
use skiff_compile::{AgentBuild, ClusterName, CompileError, Ids, Input, Nodes, Plan, compile};
use skiff_kube::{ApiError, Cluster, PodState, observe};
use skiff_proto::{Autostop, JobId, JobRecord};
use skiff_schema::{DockerMode, KubernetesConfig, ProvisionTimeout, ResolvedTask};
use thiserror::Error;

use crate::autostop::{self, AutostopError};
use crate::cluster::{ClusterError, SkiffCluster};
use crate::follow::{FollowError, Outcome, Retries};
use crate::job::{JobError, Submission, Submitted, see_through, submit};
use crate::launchable::{NotLaunchable, launchable};
use crate::nodes::{self, all_run, make, put_secrets, remove_strays};
use crate::owner::OwnerError;
use crate::provision::{CONTAINERS, ProvisionError, wait_all_running};
use crate::sync::{Machine, Sources, SyncError};
use crate::{
    AgentExecutable, Event, Interrupt, Reporter, User, agents, owner, preparation, submissions,
};

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
    /// Leave it out where it has run already and nothing that it may depend on has changed.
    pub fast: bool,
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
    /// The nodes of that cluster, as its pods are made.
    nodes: Option<Nodes>,
    /// Whether all of them run already.
    running: bool,
    /// Whether its head does not even start: only its homes are there.
    stopped: bool,
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
            Self::Api(error) => error.hint(),
            Self::Cluster(error) => error.hint(),
            Self::Differs { name, .. } => Some(format!(
                "`skiff down {name}` first, or choose another name with `-c`"
            )),
            Self::Autostop(error) => error.hint(),
            Self::Provision(error) => error.hint(),
            Self::Sync(error) => error.hint(),
            Self::Owner(OwnerError::Api(error)) => error.hint(),
            Self::Owner(OwnerError::Record(_)) => None,
            Self::Job(error) => error.hint(),
            Self::Follow(error) => error.hint(),
            Self::NotUndone { name, .. } => Some(format!("`skiff down {name}` removes it")),
            Self::Interrupted { .. } => None,
        }
    }
}

impl Prepared {
    /// When the cluster is to end by itself, where its agent does not know that yet: as the task says, or else as somebody
    /// said of the cluster whose head is made again.
    fn autostop(&self) -> Option<Autostop> {
        let written = self.request.task.first().autostop.as_ref();
        let existing = self.existing.as_ref().filter(|_| !self.running);
        written
            .map(autostop::policy)
            .or_else(|| existing.and_then(|existing| existing.autostop))
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
    let remembered = secret.as_ref().map(submissions::remembered);
    let last_job = remembered.iter().flatten().last().map_or(0, |job| job.id);
    let state = pod.as_ref().map(|pod| observe(pod, CONTAINERS));
    let alive = matches!(
        state,
        Some(PodState::Running | PodState::Waiting(_) | PodState::Stuck { .. })
    );
    let (existing, nodes) = match secret {
        Some(secret) => usable(&secret, alive)?.unzip(),
        None => (None, None),
    };
    if let Some(written) = &request.task.first().autostop {
        let record = existing.as_ref().map_or(&plan.record, |it| &it.record);
        autostop::check(record, autostop::policy(written))?;
    }
    if let Some(existing) = &existing {
        check_fit(&request, &plan, existing)?;
        if existing.record.pod_config != plan.record.pod_config {
            notes.push(format!(
                "`pod_config` has changed since the cluster was made, and its pods stay as they are: `skiff down {}` and launch again",
                request.cluster
            ));
        }
    }
    let running = match &nodes {
        Some(nodes) if state == Some(PodState::Running) => {
            nodes.count() == 1 || all_run(cluster, nodes).await?
        }
        _ => false,
    };
    Ok(Prepared {
        request,
        plan,
        existing,
        nodes,
        notes,
        running,
        stopped: !alive,
        last_job,
    })
}

/// The cluster that an owner Secret stands for, where it is to be used: its head is there, or its homes are.
fn usable(secret: &Secret, alive: bool) -> Result<Option<(SkiffCluster, Nodes)>, ClusterError> {
    let skiff = SkiffCluster::from_secret(secret)?;
    if alive || skiff.record.home_volume.is_some() {
        Ok(Some((skiff, Nodes::from_secret(secret)?)))
    } else {
        Ok(None)
    }
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
    let (wanted, present) = (request.task.num_nodes, record.num_nodes);
    if wanted > present {
        let nodes = |count| match count {
            1 => "1 node".to_owned(),
            count => format!("{count} nodes"),
        };
        return differs(&nodes(present), &nodes(wanted));
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
    let Prepared { request, plan, .. } = prepared;
    let mut sources = Sources::of(&request.task, true, &request.machine)?;
    let variables = sources.fetch(reporter).await?;
    for note in &prepared.notes {
        reporter.event(Event::Note(note.clone()));
    }
    let nodes = provide(cluster, prepared, reporter).await?;
    reporter.event(Event::PodUp {
        cluster: request.cluster.clone(),
        reused: prepared.existing.is_some(),
    });
    introduce(cluster, &nodes, reporter).await?;
    // Before there is a job: whatever happens to this command from here on, the cluster ends in time.
    if let Some(policy) = prepared.autostop() {
        autostop::set(cluster, plan.cluster.as_str(), Some(policy)).await?;
    }
    let head = nodes.cluster().pod(0);
    let setup = match &request.task.setup {
        Some(setup) if !request.no_setup && !is_prepared(cluster, prepared).await => Some(setup),
        _ => None,
    };
    let wanted = setup.is_some() || request.task.run.is_some();
    let submission = wanted.then(|| {
        Submission::new(
            cluster,
            &request.cluster,
            &request.user,
            &request.task,
            setup.cloned(),
        )
        .with(variables)
        .after(prepared.last_job)
    });
    let retries = Retries::new(cluster, &head).answered();
    let submitted = submit(retries, sources, submission, reporter).await?;
    if let Some(submitted) = &submitted
        && setup.is_some()
    {
        preparation::remember(cluster, plan, &submitted.job).await?;
    }
    let launching = prepared.existing.as_ref().map(|skiff| skiff.launching);
    if launching.unwrap_or(true) {
        owner::release(cluster, plan).await?;
    }
    Ok(submitted)
}

/// Sees to it that the nodes run: those of the cluster that is there, made again where they are gone, or new ones.
async fn provide(
    cluster: &Cluster,
    prepared: &Prepared,
    reporter: &dyn Reporter,
) -> Result<Nodes, LaunchError> {
    let Prepared { request, plan, .. } = prepared;
    let patience = request.config.provision_timeout;
    if let (Some(existing), Some(nodes)) = (&prepared.existing, &prepared.nodes) {
        renew(cluster, plan, &existing.uid).await?;
        if !prepared.running {
            mend(
                cluster,
                existing,
                nodes,
                &request.agents,
                patience,
                reporter,
            )
            .await?;
        }
        return Ok(nodes.clone());
    }
    for note in &plan.notes {
        reporter.event(Event::Note(note.clone()));
    }
    reporter.event(Event::Creating {
        cluster: request.cluster.clone(),
    });
    let delivery = async { Ok(agents::deliver(cluster, &request.agents).await?) };
    let (owner, ()) = tokio::try_join!(owner::create(cluster, plan), delivery)?;
    let (wanted, present) = (request.task.num_nodes, owner.nodes.count());
    if wanted > present {
        return Err(LaunchError::Differs {
            name: request.cluster.clone(),
            has: format!("{present} nodes"),
            wants: format!("{wanted} nodes"),
        });
    }
    put_secrets(cluster, plan, &owner.uid).await?;
    if !owner.joined {
        remove_strays(cluster, &owner.nodes).await?;
    }
    make(cluster, &owner.nodes, &owner.uid).await?;
    wait_all_running(cluster, &owner.nodes, patience, reporter).await?;
    Ok(owner.nodes)
}

/// Makes nodes of a cluster again that are gone, and waits until all run.
pub(crate) async fn mend(
    cluster: &Cluster,
    skiff: &SkiffCluster,
    nodes: &Nodes,
    agents: &[AgentExecutable],
    patience: Option<ProvisionTimeout>,
    reporter: &dyn Reporter,
) -> Result<(), ProvisionError> {
    reporter.event(Event::Creating {
        cluster: skiff.record.name.clone(),
    });
    agents::deliver(cluster, agents).await?;
    make(cluster, nodes, &skiff.uid).await?;
    wait_all_running(cluster, nodes, patience, reporter).await
}

/// Brings what a cluster that is there already has of secrets to what the launch gives.
async fn renew(cluster: &Cluster, plan: &Plan, owner_uid: &str) -> Result<(), ApiError> {
    owner::renew_secrets(cluster, plan).await?;
    put_secrets(cluster, plan, owner_uid).await
}

/// Tells the head where the nodes are, over as many connections as it takes.
pub(crate) async fn introduce(
    cluster: &Cluster,
    nodes: &Nodes,
    reporter: &dyn Reporter,
) -> Result<(), JobError> {
    let head = nodes.cluster().pod(0);
    let mut retries = Retries::new(cluster, &head).answered();
    loop {
        match nodes::introduce(cluster, nodes).await {
            Err(error) if error.is_transient() => retries.pause(error, reporter).await?,
            result => return Ok(result?),
        }
    }
}

/// Whether the setup may be left out: the user has asked for it, and it has run here as it is.
async fn is_prepared(cluster: &Cluster, prepared: &Prepared) -> bool {
    match &prepared.existing {
        Some(existing) if prepared.request.fast && prepared.running => {
            match &existing.preparation {
                Some(preparation) => preparation.is_good_for(cluster, &prepared.plan).await,
                None => false,
            }
        }
        _ => false,
    }
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
    let undoing = || {
        reporter.event(Event::Undoing {
            cluster: prepared.request.cluster.clone(),
        });
    };
    if let (Some(_), Some(nodes)) = (&prepared.existing, &prepared.nodes) {
        if prepared.stopped {
            undoing();
            nodes::delete(cluster, nodes).await;
        }
        return Ok(prepared.stopped);
    }
    if !owner::is_own(cluster, &prepared.plan).await? {
        return Ok(false);
    }
    undoing();
    owner::remove(cluster, &prepared.plan).await?;
    Ok(true)
}
