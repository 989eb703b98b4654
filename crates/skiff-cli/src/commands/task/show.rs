//! `skiff task show`

use clap::{Args, ValueEnum};

use crate::commands::task::documents;
use crate::configuration;
use crate::environment::Environment;
use crate::error::CommandError;
use crate::printer::Printer;
use crate::task_args::TaskArgs;

#[derive(Debug, Args)]
#[command(
    after_help = "Secrets are shown by their names alone. A file with several tasks gives a list.",
    arg_required_else_help = true
)]
pub(crate) struct ShowArgs {
    /// How to print: `yaml` or `json`
    #[arg(short, long, value_enum, default_value_t, hide_possible_values = true)]
    output: Output,
    #[command(flatten)]
    task: TaskArgs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    #[default]
    Yaml,
    Json,
}

pub(crate) fn run(
    args: &ShowArgs,
    environment: &Environment,
    printer: Printer,
) -> Result<(), CommandError> {
    configuration::check_flags(environment, args.task.config())?;
    let tasks = args.task.read()?.resolve_all(printer)?;
    let tasks = tasks.iter().map(skiff_schema::ResolvedTask::to_json);
    printer.data(&match args.output {
        Output::Yaml => documents::yaml(tasks),
        Output::Json => documents::json(tasks),
    });
    Ok(())
}
