//! `skiff render`

use clap::Args;
use skiff_compile::{AgentBuild, ClusterFacts, Ids, Input, Version, compile};
use skiff_engine::{facts, launchable};
use skiff_kube::{Cluster, Selection};
use skiff_proto::ClusterKey;

use crate::agent::agents;
use crate::error::CommandError;
use crate::setup::Setup;
use crate::task_args::TaskArgs;

#[derive(Debug, Args)]
#[command(
    after_help = "Contacts no cluster unless --context or --infra names one. The Secrets that carry the agent are left out."
)]
pub(crate) struct RenderArgs {
    /// Name of the cluster
    #[arg(short, long, default_value = "skiff")]
    cluster: String,
    /// Version of Kubernetes to render for, where no cluster is asked
    #[arg(long, value_name = "MAJOR.MINOR", default_value = "1.30", value_parser = version)]
    kubernetes_version: Version,
    #[command(flatten)]
    task: TaskArgs,
}

fn version(text: &str) -> Result<Version, String> {
    let parsed = text
        .trim_start_matches('v')
        .split_once('.')
        .and_then(|(major, minor)| {
            Some(Version {
                major: major.parse().ok()?,
                minor: minor.split('.').next()?.parse().ok()?,
            })
        });
    match parsed {
        Some(version)
            if version
                >= (Version {
                    major: 1,
                    minor: 20,
                }) =>
        {
            Ok(version)
        }
        Some(_) => Err("Skiff supports Kubernetes 1.20 and later".to_owned()),
        None => Err("a version looks like 1.30".to_owned()),
    }
}

pub(crate) async fn run(args: RenderArgs, setup: &Setup) -> Result<(), CommandError> {
    let task = args.task.resolve(None)?;
    let asked = task.context().or(setup.context.as_deref());
    let (facts, namespace, config, context) = if asked.is_some() {
        let (cluster, config) = setup.connect_for_task(asked, args.task.config()).await?;
        let own = config.for_task(Some(&cluster.context), &task.config);
        (
            Box::pin(facts(&cluster, &own)).await?,
            cluster.namespace,
            config,
            cluster.context,
        )
    } else {
        let context = Cluster::context_name(&Selection::default());
        let flags = args.task.config();
        let config = setup.configuration(context.as_deref(), flags)?;
        let namespace = config.for_context(context.as_deref()).namespace;
        (
            // No node is known, so none contradicts.
            ClusterFacts::new(args.kubernetes_version, Some(Vec::new())),
            namespace.unwrap_or_else(|| "default".to_owned()),
            config,
            context.unwrap_or_default(),
        )
    };
    let agents = agents()?;
    let architectures: Vec<&str> = agents.iter().map(|agent| agent.architecture).collect();
    let user = setup.user();
    let config = config.for_task(Some(&context), &task.config);
    let mut plan = compile(&Input {
        task: &task,
        resources: task.first(),
        config: &config,
        facts: &facts,
        ids: &Ids {
            cluster: args.cluster,
            user: user.name,
            user_hash: user.hash,
            namespace,
            context,
            launching: None,
            command: String::new(),
            // Shown, never used: and a secret is not shown.
            key: ClusterKey::new([0; 32]),
        },
        agent: &AgentBuild::of(&agents[0].bytes, &architectures),
    })?;
    match launchable(&task) {
        Ok(notes) => plan.notes.splice(0..0, notes).for_each(drop),
        Err(error) => plan
            .notes
            .insert(0, format!("`skiff launch` refuses this task: {error}")),
    }
    for note in &plan.notes {
        setup.printer.note(&format!("note: {note}"));
    }
    setup.printer.data(&plan.to_yaml());
    Ok(())
}
