//! The pure compiler: (task, configuration, facts of the cluster) to Kubernetes objects.
//!
//! Same input, same output, byte for byte. Must not touch the file system, the environment, the
//! clock or the network; facts and identities come as arguments.

mod agent;
mod claim;
mod container;
mod docker;
mod error;
mod facts;
mod fit;
mod home;
mod hooks;
pub mod labels;
mod metadata;
mod names;
mod node_choice;
mod nodes;
mod owner;
mod plan;
mod pod;
mod quantity;
mod record;
mod registry;
mod reserved;
mod rights;
mod sandbox;
mod service;

use serde::Serialize;
use skiff_proto::PROTOCOL_VERSION;
use skiff_schema::{AllowedNodes, KubernetesConfig, ResolvedResources, ResolvedTask};

use self::pod::{Decisions, Template};
use self::registry::Login;

pub use agent::{AgentBuild, agent_secrets};
pub use docker::{DockerError, unfit_for_docker};
pub use error::CompileError;
pub use facts::{
    Amounts, ClaimFacts, ClaimGone, ClusterFacts, DiskClassFacts, NodeFacts, RuntimeClassFacts,
    Version, VolumeFacts,
};
pub use names::{ClusterName, Ids, NameError, user_hash};
pub use nodes::Nodes;
pub use plan::Plan;
pub use record::{ClusterRecord, RecordError};
pub use rights::Rights;

/// Everything that decides a plan.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The task.
    pub task: &'a ResolvedTask,
    /// Which of its candidates is compiled.
    pub resources: &'a ResolvedResources,
    /// The configuration for the context, the task's own `config:` applied (`Config::for_task`).
    pub config: &'a KubernetesConfig,
    /// What is known of the Kubernetes cluster.
    pub facts: &'a ClusterFacts,
    /// Who launches what, where.
    pub ids: &'a Ids,
    /// The agent that travels to the pods.
    pub agent: &'a AgentBuild,
}

impl Input<'_> {
    /// The nodes that the user's configuration allows; None: all.
    fn allowed_nodes(&self) -> Option<&AllowedNodes> {
        self.config
            .allowed_nodes
            .as_ref()
            .filter(|allowed| **allowed != AllowedNodes::default())
    }

    /// The image of the task container.
    fn image(&self, login: Option<&Login<'_>>) -> String {
        match (&self.resources.image, login) {
            (Some(image), Some(login)) => login.image(image),
            (Some(image), None) => image.clone(),
            (None, _) => self.config.images.task.clone(),
        }
    }
}

/// Sixteen hex digits of what a value is in JSON.
fn hash(value: &impl Serialize) -> String {
    let json = serde_json::to_vec(value).expect("what is hashed is always valid JSON");
    blake3::hash(&json).to_hex()[..16].to_owned()
}

/// Hash of all of a task that its setup may depend on: everything but the run command and what the task is called.
fn preparation(input: &Input<'_>) -> String {
    let task = input.task;
    let secrets: Vec<_> = task.secrets.reveal().collect();
    let mounts: Vec<_> = task
        .file_mounts
        .iter()
        .map(|mount| format!("{mount:?}"))
        .collect();
    hash(&(
        (&task.setup, &task.envs, secrets, mounts),
        (format!("{:?}", task.workdir), task.num_nodes),
        task.resources_text(input.resources),
        (&input.resources.image, input.config.pod_config.to_json()),
    ))
}

/// Turns a task into Kubernetes objects.
pub fn compile(input: &Input<'_>) -> Result<Plan, CompileError> {
    let cluster = ClusterName::new(&input.ids.cluster, &input.ids.user_hash)?;
    let login = Login::of(input.task);
    sandbox::check(input)?;
    let mut remarks = docker::check(input)?;
    let fit = fit::fit(input)?;
    remarks.extend(fit.notes);
    let registry = login.as_ref().map(|login| login.secret(input, &cluster));
    let decisions = Decisions {
        amounts: fit.amounts,
        image: input.image(login.as_ref()),
        pull_secret: registry.is_some().then(|| cluster.registry()),
    };
    let template = Template::new(input, &cluster, decisions, &mut remarks)?;
    let record = ClusterRecord {
        format: record::FORMAT,
        name: input.ids.cluster.clone(),
        user: input.ids.user.clone(),
        task: input.task.name.clone(),
        command: input.ids.command.clone(),
        resources: input.task.resources_text(input.resources),
        num_nodes: input.task.num_nodes,
        image: template.image(),
        docker: input.config.docker.mode,
        pod_config: input.config.pod_config.to_json().map(|json| hash(&json)),
        home_volume: home::size(input),
        agent: input.agent.hash.clone(),
        protocol: PROTOCOL_VERSION,
    };
    let nodes = Nodes {
        cluster: cluster.clone(),
        count: input.task.num_nodes,
        pods: template,
        services: metadata::of(input, &cluster, String::new()),
        homes: home::claims(input, &cluster),
        docker_disks: docker::disks(input, &cluster),
    };
    let owner = owner::owner(input, &cluster, &record, &nodes);
    Ok(Plan {
        nodes,
        preparation: preparation(input),
        takes_itself_down: input
            .resources
            .autostop
            .as_ref()
            .is_some_and(|autostop| autostop.down),
        secrets: registry.into_iter().collect(),
        cluster,
        record,
        owner,
        notes: remarks,
    })
}
