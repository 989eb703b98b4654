//! `skiff down`

use clap::Args;
use skiff_engine::down;

use crate::cluster_args::ClusterArgs;
use crate::commands::ssh::forget;
use crate::error::CommandError;
use crate::setup::Setup;

#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    #[command(flatten)]
    clusters: ClusterArgs,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(crate) async fn run(args: DownArgs, setup: &Setup) -> Result<(), CommandError> {
    let (cluster, _) = setup.connect(None).await?;
    let found = args.clusters.find(&cluster, setup).await?;
    let question = format!("Taking down {}. Proceed?", found.names());
    if !found.clusters.is_empty() && !setup.confirmed(args.yes, &question)? {
        return Ok(());
    }
    let progress = setup.progress();
    let downs = found.clusters.iter().map(|skiff| async {
        let result = down(&cluster, skiff, &progress).await;
        progress.clear();
        if result.is_ok() {
            forget(&cluster, skiff, setup);
            setup
                .printer
                .note(&format!("✓ Cluster {} is down.", skiff.record.name));
        }
        result
    });
    let results = futures::future::join_all(downs).await;
    for result in results {
        result?;
    }
    found.end(setup, "There is no cluster to take down.")
}
