//! Thinks a launch through: reads what is there, and changes nothing.

use k8s_openapi::api::core::v1::{Pod, Secret};
use skiff_compile::{
    AgentBuild, ClusterFacts, ClusterName, CompileError, Ids, Input, Nodes, Plan, compile,
};
use skiff_kube::{Cluster, PodState, observe};
use skiff_proto::{Autostop, JobId};
use skiff_schema::{DockerMode, KubernetesConfig};

use super::facts::facts;
use super::{LaunchError, LaunchRequest};
use crate::autostop;
use crate::cluster::{ClusterError, SkiffCluster};
use crate::launchable::launchable;
use crate::nodes::all_run;
use crate::provision::CONTAINERS;
use crate::sync::Sources;
use crate::{owner, submissions};

/// A launch that was thought through and has changed nothing yet.
#[derive(Debug)]
pub struct Prepared {
    pub(super) request: LaunchRequest,
    /// What is created where it does not exist.
    pub plan: Plan,
    /// The cluster of this name, where there is one with a pod that runs or starts.
    pub existing: Option<SkiffCluster>,
    /// What of the task is not acted on, one sentence each.
    pub notes: Vec<String>,
    /// The nodes of that cluster, as its pods are made.
    pub(super) nodes: Option<Nodes>,
    /// Whether all of them run already.
    pub(super) running: bool,
    /// Whether its head does not even start: only its homes are there.
    pub(super) stopped: bool,
    /// The last job that is known of an earlier head pod; 0: none.
    pub(super) last_job: JobId,
}

impl Prepared {
    /// When the cluster is to end by itself, where its agent does not know that yet: as the task says, or else as somebody
    /// said of the cluster whose head is made again.
    pub(super) fn autostop(&self) -> Option<Autostop> {
        let written = self.request.task.first().autostop.as_ref();
        let existing = self.existing.as_ref().filter(|_| !self.running);
        written
            .map(autostop::policy)
            .or_else(|| existing.and_then(|existing| existing.autostop))
    }
}

/// Reads the cluster's facts and thinks the launch through.
pub async fn prepare(cluster: &Cluster, request: LaunchRequest) -> Result<Prepared, LaunchError> {
    let mut remarks = launchable(&request.task)?;
    // What is not there is told before anything is created for it.
    Sources::of(&request.task, true, &request.machine)?;
    let name =
        ClusterName::new(&request.cluster, &request.user.hash).map_err(CompileError::from)?;
    let pod_name = name.pod(0);
    let (facts, secret, pod) = tokio::try_join!(
        facts(cluster, &request.config),
        cluster.get::<Secret>(name.as_str()),
        cluster.get::<Pod>(&pod_name),
    )?;
    let plan = plan(cluster, &request, &request.config, &facts)?;
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
            remarks.push(format!(
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
        notes: remarks,
        running,
        stopped: !alive,
        last_job,
    })
}

/// What a launch with this configuration creates, were nothing there.
pub(crate) fn plan(
    cluster: &Cluster,
    request: &LaunchRequest,
    config: &KubernetesConfig,
    facts: &ClusterFacts,
) -> Result<Plan, CompileError> {
    let architectures: Vec<&str> = request
        .agents
        .iter()
        .map(|agent| agent.architecture)
        .collect();
    compile(&Input {
        task: &request.task,
        resources: request.task.first(),
        config,
        facts,
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

/// How what a cluster has of Docker falls short of what a task wants: a daemon builds images too, a builder is no
/// daemon.
fn docker_differs(has: DockerMode, wants: DockerMode) -> Option<(&'static str, &'static str)> {
    let builder = "Docker's builder without a daemon (`enable_docker: BUILD`)";
    match (has, wants) {
        (_, DockerMode::Off) | (DockerMode::All, _) | (DockerMode::Build, DockerMode::Build) => {
            None
        }
        (DockerMode::Off, DockerMode::All) => Some(("no Docker", "Docker")),
        (DockerMode::Off, DockerMode::Build) => Some(("no Docker", builder)),
        (DockerMode::Build, DockerMode::All) => Some((builder, "a Docker daemon")),
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
    if let Some((has, wants)) = docker_differs(record.docker, request.config.docker.mode) {
        return differs(has, wants);
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
