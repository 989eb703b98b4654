//! `skiff exec`

use clap::Args;
use skiff_engine::{ExecRequest, exec};
use skiff_proto::ExitStatus;

use crate::commands::{conclude, target};
use crate::error::CommandError;
use crate::setup::Setup;
use crate::task_args::TaskArgs;

#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// Name of the cluster
    cluster: String,
    /// Do not wait for the job
    #[arg(short, long)]
    detach_run: bool,
    #[command(flatten)]
    task: TaskArgs,
}

pub(crate) async fn run(args: ExecArgs, setup: &Setup) -> Result<ExitStatus, CommandError> {
    if args.task.is_empty() {
        return Err(CommandError::usage(
            "there is nothing to run",
            Some(format!(
                "skiff exec {} COMMAND, or a task YAML",
                args.cluster
            )),
        ));
    }
    let task = args.task.resolve(None)?;
    let (cluster, _) = setup
        .connect_for_task(task.context(), args.task.config())
        .await?;
    let request = ExecRequest {
        cluster: args.cluster.clone(),
        task,
        user: setup.user(),
        machine: setup.environment.machine(),
        detach: args.detach_run,
    };
    let progress = setup.progress();
    let result = exec(&cluster, &request, &setup.interrupt, &progress).await;
    progress.clear();
    let (job, outcome) = result?;
    if job.is_none() {
        setup
            .printer
            .note("The task has no `run`: nothing was run.");
    }
    Ok(outcome.map_or(ExitStatus::Success, |outcome| {
        conclude(
            &outcome,
            &target(&args.cluster, &cluster.context),
            setup.printer,
        )
    }))
}
