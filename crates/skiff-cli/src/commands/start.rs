//! `skiff start`

use clap::Args;
use skiff_engine::start;

use crate::agent::agents;
use crate::error::CommandError;
use crate::setup::Setup;

#[derive(Debug, Args)]
#[command(
    after_help = "Their pods are made again as they were. What lay outside of the home folders is gone: the last setup runs again \
                  before the next job."
)]
pub(crate) struct StartArgs {
    /// Names of clusters
    #[arg(required = true)]
    clusters: Vec<String>,
    /// Taken for the sake of scripts: starting asks nothing
    #[arg(short, long)]
    yes: bool,
}

pub(crate) async fn run(args: StartArgs, setup: &Setup) -> Result<(), CommandError> {
    let (cluster, config) = setup.connect(None).await?;
    let config = config.for_context(Some(&cluster.context));
    let agents = agents()?;
    let progress = setup.progress();
    for name in &args.clusters {
        let around = (&setup.interrupt, &progress as &dyn skiff_engine::Reporter);
        let patience = config.provision_timeout;
        let started = start(&cluster, &setup.user(), name, &agents, patience, around).await;
        progress.clear();
        started?;
    }
    Ok(())
}
