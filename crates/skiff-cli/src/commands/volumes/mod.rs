//! `skiff volumes`

mod apply;
mod delete;
mod ls;

use clap::{Args, Subcommand};

use crate::error::CommandError;
use crate::setup::Setup;

#[derive(Debug, Args)]
#[command(
    after_help = "A volume is a claim for storage in the namespace, which no cluster owns: it stays when clusters go."
)]
pub(crate) struct VolumesArgs {
    #[command(subcommand)]
    command: VolumesCommand,
}

#[derive(Debug, Subcommand)]
enum VolumesCommand {
    /// Make a volume, or bring one that is there to what its file says
    Apply(apply::ApplyArgs),
    /// Show the volumes of the namespace
    #[command(visible_alias = "list")]
    Ls(ls::LsArgs),
    /// Delete volumes and their data
    Delete(delete::DeleteArgs),
}

pub(crate) async fn run(args: VolumesArgs, setup: &Setup) -> Result<(), CommandError> {
    match args.command {
        VolumesCommand::Apply(args) => Box::pin(apply::run(args, setup)).await,
        VolumesCommand::Ls(args) => Box::pin(ls::run(args, setup)).await,
        VolumesCommand::Delete(args) => Box::pin(delete::run(args, setup)).await,
    }
}
