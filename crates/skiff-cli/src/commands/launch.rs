//! `skiff launch`

use clap::Args;
use skiff_compile::AgentBuild;
use skiff_engine::{LaunchRequest, Prepared, launch};
use skiff_proto::ExitStatus;
use skiff_schema::{Infra, ResolvedTask};

use crate::agent::agents;
use crate::attempts::Attempts;
use crate::autostop_args::AutostopArgs;
use crate::candidates::{self, Candidate};
use crate::commands::ssh::announce;
use crate::commands::{conclude, target};
use crate::error::CommandError;
use crate::setup::Setup;
use crate::table::table;
use crate::task_args::TaskArgs;
use crate::variables::without_secrets;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct LaunchArgs {
    /// Priority of the job, where jobs are queued: -1000 to 1000, or the name of a class
    #[arg(long, help_heading = "Task", allow_hyphen_values = true)]
    priority: Option<String>,
    /// Name of the cluster; made up where none is given
    #[arg(short, long)]
    cluster: Option<String>,
    /// Show what would be launched, and end
    #[arg(long)]
    dryrun: bool,
    /// Do not wait for the job
    #[arg(short, long)]
    detach_run: bool,
    /// Leave out the task's setup
    #[arg(long)]
    no_setup: bool,
    /// Leave out the setup where it has run on the cluster already and nothing that it may depend on has changed
    #[arg(long)]
    fast: bool,
    /// Where there is no room for it, try again until there is
    #[arg(short, long)]
    retry_until_up: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    task: TaskArgs,
    #[command(flatten)]
    autostop: AutostopArgs,
}

pub(crate) async fn run(args: LaunchArgs, setup: &Setup) -> Result<ExitStatus, CommandError> {
    let mut task = args.task.resolve(args.priority.as_deref())?;
    args.autostop.apply(&mut task);
    let agents = agents()?;
    let user = setup.user();
    let name = args.cluster.unwrap_or_else(|| made_up_name(&user.name));
    let request = |task, config| LaunchRequest {
        cluster: name.clone(),
        config,
        task,
        user: user.clone(),
        machine: setup.environment.machine(),
        agents: agents.clone(),
        command: command_line(),
        now: jiff::Timestamp::now().to_string(),
        no_setup: args.no_setup,
        fast: args.fast,
        detach: args.detach_run,
    };
    let mut attempts = Attempts::new(setup, &task, args.retry_until_up);
    let mut is_confirmed = args.yes;
    let (cluster, launched) = loop {
        let preparing =
            candidates::first(setup, &task, args.task.config(), attempts.from, &request);
        let Some(chosen) = setup.interrupt.unless(Box::pin(preparing)).await else {
            return Ok(ExitStatus::Interrupted);
        };
        let Candidate {
            cluster,
            prepared,
            index,
        } = match chosen {
            Ok(candidate) => candidate,
            Err(refused) if refused.unavailable && !args.dryrun => {
                attempts.again(refused.error).await?;
                continue;
            }
            Err(refused) => return Err(refused.error),
        };
        if prepared.existing.is_none() && (args.dryrun || !is_confirmed) {
            setup
                .printer
                .note(&considered(&task, index, &cluster.context));
        }
        if args.dryrun {
            explain_dryrun(setup, &prepared, &name);
            return Ok(ExitStatus::Success);
        }
        let question = format!("Launching a new cluster '{name}'. Proceed?");
        if prepared.existing.is_none() && !setup.confirmed(is_confirmed, &question)? {
            return Ok(ExitStatus::Failure);
        }
        is_confirmed = true;
        let progress = setup.progress();
        let launching = async {
            let launched = launch(&cluster, &prepared, &setup.interrupt, &progress).await;
            progress.end();
            launched
        };
        let announcing = announce(&cluster, &name, setup, &progress);
        let (launched, ()) = futures::join!(Box::pin(launching), Box::pin(announcing));
        match launched {
            Ok(launched) => break (cluster, launched),
            Err(error) if error.is_unavailable() => attempts.failed(index, error.into()).await?,
            Err(error) => return Err(error.into()),
        }
    };
    let target = target(&name, &cluster.context);
    let status = match (&launched.job, &launched.outcome) {
        (_, Some(outcome)) => conclude(outcome, &target, setup.printer),
        _ => ExitStatus::Success,
    };
    if status != ExitStatus::Interrupted {
        setup
            .printer
            .note(&useful_commands(&target, launched.job.map(|job| job.id)));
    }
    Ok(status)
}

fn explain_dryrun(setup: &Setup, prepared: &Prepared, name: &str) {
    for note in prepared.notes.iter().chain(&prepared.plan.notes) {
        setup.printer.note(&format!("note: {note}"));
    }
    setup.printer.note(&match prepared.existing {
        Some(_) => format!("The task would run on the existing cluster '{name}'."),
        None => {
            format!("A new cluster '{name}' would be launched. `skiff render` prints its objects.")
        }
    });
}

/// The candidates, as SkyPilot's optimizer shows them.
fn considered(task: &ResolvedTask, chosen: usize, context: &str) -> String {
    let rows = task.resources.iter().enumerate().map(|(index, resources)| {
        #[expect(
            clippy::cast_precision_loss,
            reason = "CPUs and gigabytes, shown with at most three decimals"
        )]
        let (cpus, memory) = (
            resources.milli_cpu as f64 / 1e3,
            resources.memory_bytes as f64 / 1e9,
        );
        let memory = (memory * 1e3).round() / 1e3;
        let named = resources.infra.as_ref().and_then(Infra::context);
        let gpus = resources.accelerators.as_ref();
        vec![
            format!("Kubernetes ({})", named.unwrap_or(context)),
            format!("{cpus}CPU--{memory}GB"),
            cpus.to_string(),
            memory.to_string(),
            gpus.map_or_else(|| "-".to_owned(), ToString::to_string),
            "0.00".to_owned(),
            if index == chosen { "✔" } else { "" }.to_owned(),
        ]
    });
    let head = [
        "INFRA", "INSTANCE", "vCPUs", "Mem(GB)", "GPUS", "COST ($)", "CHOSEN",
    ];
    let nodes = task.num_nodes;
    let plural = if nodes == 1 { "" } else { "s" };
    format!(
        "Considered resources ({nodes} node{plural}):\n{}",
        table(&head, rows).trim_end()
    )
}

fn useful_commands(target: &str, job: Option<u64>) -> String {
    let mut lines = vec!["Useful commands".to_owned()];
    if let Some(job) = job {
        lines.push(format!(
            "├── See the output again:  skiff logs {target} {job}"
        ));
        lines.push(format!(
            "├── Cancel the job:        skiff cancel {target} {job}"
        ));
    }
    lines.push(format!("├── Open a shell:          skiff ssh {target}"));
    lines.push(format!("├── See the job queue:     skiff queue {target}"));
    lines.push(format!(
        "├── Run another job:       skiff exec {target} COMMAND"
    ));
    lines.push(format!("└── Take it all down:      skiff down {target}"));
    lines.join("\n")
}

/// `skiff-3fa9-alice`, as SkyPilot names clusters that nobody named.
fn made_up_name(user: &str) -> String {
    let user: String = user.chars().filter(char::is_ascii_alphanumeric).collect();
    let moment = jiff::Timestamp::now().to_string();
    let draw = AgentBuild::of(format!("{moment}{}", std::process::id()).as_bytes(), &[]).hash;
    format!("skiff-{}-{user}", &draw[..4])
        .trim_end_matches('-')
        .to_owned()
}

fn command_line() -> String {
    without_secrets(std::env::args().skip(1))
}
