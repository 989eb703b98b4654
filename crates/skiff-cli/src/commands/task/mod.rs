//! `skiff task`: looks at task files without any cluster.

mod check;
mod documents;
mod show;

use clap::{Args, Subcommand};
use skiff_proto::ExitStatus;

use crate::environment::Environment;
use crate::error::CommandError;
use crate::printer::Printer;

#[derive(Debug, Args)]
pub(crate) struct TaskCommandArgs {
    #[command(subcommand)]
    command: TaskCommand,
}

#[derive(Debug, Subcommand)]
enum TaskCommand {
    /// Print a task as Skiff understands it: flags applied, defaults filled in
    Show(Box<show::ShowArgs>),
    /// Check many task files and print a table
    Check(check::CheckArgs),
}

/// Needs no cluster, no kubeconfig and no runtime.
pub(crate) fn run(
    args: &TaskCommandArgs,
    environment: &Environment,
    printer: Printer,
) -> Result<ExitStatus, CommandError> {
    match &args.command {
        TaskCommand::Show(args) => {
            show::run(args, environment, printer).map(|()| ExitStatus::Success)
        }
        TaskCommand::Check(args) => check::run(args, printer),
    }
}
