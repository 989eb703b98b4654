//! The commands, one file each: arguments in, use case called, result printed.

pub(crate) mod autostop;
pub(crate) mod cancel;
pub(crate) mod check;
pub(crate) mod completion;
pub(crate) mod config;
pub(crate) mod down;
pub(crate) mod exec;
pub(crate) mod launch;
pub(crate) mod local;
pub(crate) mod logs;
pub(crate) mod queue;
pub(crate) mod render;
pub(crate) mod ssh;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod task;
pub(crate) mod volumes;

use skiff_engine::Outcome;
use skiff_kube::{Cluster, Selection};
use skiff_proto::ExitStatus;

use crate::cli::ClusterCommand;
use crate::error::CommandError;
use crate::printer::Printer;
use crate::setup::Setup;

/// Runs one command. Those that have something to undo or to say watch for the interrupt themselves; the others
/// just stop.
pub(crate) async fn run(
    command: ClusterCommand,
    setup: &Setup,
) -> Result<ExitStatus, CommandError> {
    match command {
        ClusterCommand::Launch(args) => Box::pin(launch::run(args, setup)).await,
        ClusterCommand::Exec(args) => Box::pin(exec::run(args, setup)).await,
        ClusterCommand::Logs(args) => Box::pin(logs::run(args, setup)).await,
        ClusterCommand::Local(args) => Box::pin(local::run(args, setup))
            .await
            .map(|()| ExitStatus::Success),
        ClusterCommand::Ssh(args) => Box::pin(ssh::run(args, setup)).await,
        ClusterCommand::Start(args) => Box::pin(start::run(args, setup))
            .await
            .map(|()| ExitStatus::Success),
        ClusterCommand::Stop(args) => until_interrupted(setup, stop::run(args, setup)).await,
        ClusterCommand::Queue(args) => until_interrupted(setup, queue::run(args, setup)).await,
        ClusterCommand::Status(args) => until_interrupted(setup, status::run(args, setup)).await,
        ClusterCommand::Autostop(args) => {
            until_interrupted(setup, autostop::run(args, setup)).await
        }
        ClusterCommand::Cancel(args) => until_interrupted(setup, cancel::run(args, setup)).await,
        ClusterCommand::Down(args) => until_interrupted(setup, down::run(args, setup)).await,
        ClusterCommand::Check(args) => Box::pin(check::run(args, setup)).await,
        ClusterCommand::Volumes(args) => until_interrupted(setup, volumes::run(args, setup)).await,
        ClusterCommand::Render(args) => until_interrupted(setup, render::run(args, setup)).await,
    }
}

async fn until_interrupted(
    setup: &Setup,
    work: impl Future<Output = Result<(), CommandError>>,
) -> Result<ExitStatus, CommandError> {
    match Box::pin(setup.interrupt.unless(work)).await {
        Some(result) => result.map(|()| ExitStatus::Success),
        None => Ok(ExitStatus::Interrupted),
    }
}

/// The cluster as other commands have to name it: with its context, where that is not the kubeconfig's current one.
pub(crate) fn target(name: &str, context: &str) -> String {
    let current = Cluster::context_name(&Selection::default());
    if current.is_some_and(|current| current == context) {
        name.to_owned()
    } else {
        format!("{name} --context {context}")
    }
}

/// What is left to say when a job's output has ended, and the exit code for it.
pub(crate) fn conclude(outcome: &Outcome, cluster: &str, printer: Printer) -> ExitStatus {
    match outcome {
        Outcome::Read(job) => {
            if let Some(cause) = &job.cause {
                printer.note(&format!("job {} {}: {cause}", job.id, job.status));
            }
            job.status.into()
        }
        Outcome::Interrupted(job) => {
            printer.note(&format!(
                "\nThe job goes on. To see it again: skiff logs {cluster} {id}   To end it: skiff cancel {cluster} {id}",
                id = job.id
            ));
            ExitStatus::Interrupted
        }
    }
}
