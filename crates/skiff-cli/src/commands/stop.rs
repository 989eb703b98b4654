//! `skiff stop`

use clap::Args;
use skiff_engine::stop;

use crate::cluster_args::ClusterArgs;
use crate::error::CommandError;
use crate::setup::Setup;

#[derive(Debug, Args)]
#[command(
    after_help = "Jobs end, and pods give back what they had of the cluster. What a cluster keeps is the home folder of each node, \
                  on a volume of its own: launch with `--config kubernetes.home_volume.size=50`, or write that into the configuration."
)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    clusters: ClusterArgs,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(crate) async fn run(args: StopArgs, setup: &Setup) -> Result<(), CommandError> {
    let (cluster, _) = setup.connect(None).await?;
    let found = args.clusters.find(&cluster, setup).await?;
    let question = format!("Stopping {}. Proceed?", found.names());
    if !found.clusters.is_empty() && !setup.confirmed(args.yes, &question)? {
        return Ok(());
    }
    let progress = setup.progress();
    let stops = found.clusters.iter().map(async |skiff| {
        let result = stop(&cluster, skiff, &progress).await;
        progress.clear();
        let name = &skiff.record.name;
        if result.is_ok() {
            let printer = setup.printer;
            printer.note(&format!(
                "✓ Cluster {name} is stopped: `skiff start {name}` starts it."
            ));
        }
        result
    });
    for result in futures::future::join_all(stops).await {
        result?;
    }
    found.end(setup, "There is no cluster to stop.")
}
