//! `skiff stop`

use clap::Args;
use skiff_engine::{Downed, stop};

use crate::commands::down::only_matched;
use crate::error::CommandError;
use crate::setup::Setup;

#[derive(Debug, Args)]
#[command(
    after_help = "Jobs end, and pods give back what they had of the cluster. What a cluster keeps is the home folder of each node, \
                  on a volume of its own: launch with `--config kubernetes.home_volume.size=50`, or write that into the configuration."
)]
pub(crate) struct StopArgs {
    /// Names of clusters, or globs such as `'dev*'`
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    clusters: Vec<String>,
    /// All of your clusters
    #[arg(short, long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(crate) async fn run(args: StopArgs, setup: &Setup) -> Result<(), CommandError> {
    let (cluster, _) = setup.connect(None).await?;
    let patterns = if args.all {
        vec!["*".to_owned()]
    } else {
        args.clusters
    };
    let found = Downed::find(&cluster, &setup.user(), &patterns).await?;
    let names: Vec<&str> = found
        .clusters
        .iter()
        .map(|cluster| cluster.record.name.as_str())
        .collect();
    let question = format!("Stopping {}. Proceed?", names.join(", "));
    if !names.is_empty() && !setup.confirmed(args.yes, &question)? {
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
    if args.all && names.is_empty() {
        setup.printer.note("There is no cluster to stop.");
        return Ok(());
    }
    only_matched(&found, &cluster)
}
