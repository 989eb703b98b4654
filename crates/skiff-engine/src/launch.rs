//! Launch: a task becomes a cluster, or goes to the one that is there, and runs.

use skiff_compile::{Nodes, Plan};
use skiff_kube::{ApiError, Cluster};
use skiff_proto::JobRecord;
use skiff_schema::{KubernetesConfig, ProvisionTimeout, ResolvedTask};

use crate::autostop;
use crate::cluster::SkiffCluster;
use crate::follow::{Outcome, Retries};
use crate::job::{JobError, Submission, Submitted, see_through, submit};
use crate::nodes::{self, make, put_secrets, remove_strays};
use crate::provision::{ProvisionError, wait_all_running};
use crate::sync::{Machine, Sources};
use crate::{AgentExecutable, Event, Interrupt, Reporter, User, agents, owner, preparation};

mod error;
mod facts;
mod prepare;

pub use error::LaunchError;
pub use facts::facts;
pub(crate) use prepare::plan;
pub use prepare::{Prepared, prepare};

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

/// How a launch ended well.
#[derive(Debug)]
pub struct Launched {
    /// The job, where the task has something to run or set up.
    pub job: Option<JobRecord>,
    /// How the job's output ended, unless it was not waited for.
    pub outcome: Option<Outcome>,
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
