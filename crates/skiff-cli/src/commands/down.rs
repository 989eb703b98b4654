//! `skiff down`

use clap::Args;
use skiff_engine::{Downed, down};
use skiff_kube::Cluster;

use crate::commands::ssh::forget;
use crate::error::CommandError;
use crate::setup::Setup;

#[derive(Debug, Args)]
pub(crate) struct DownArgs {
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

pub(crate) async fn run(args: DownArgs, setup: &Setup) -> Result<(), CommandError> {
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
    let question = format!("Taking down {}. Proceed?", names.join(", "));
    if !names.is_empty() && !setup.confirmed(args.yes, &question)? {
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
    if args.all && names.is_empty() {
        setup.printer.note("There is no cluster to take down.");
        return Ok(());
    }
    only_matched(&found, &cluster)
}

/// The error of names that no cluster has.
pub(crate) fn only_matched(found: &Downed, cluster: &Cluster) -> Result<(), CommandError> {
    match found.unmatched.as_slice() {
        [missing, ..] => Err(CommandError::failure(
            format!(
                "there is no cluster `{missing}` in namespace {} of context {}",
                cluster.namespace, cluster.context
            ),
            Some("`skiff status` lists your clusters".to_owned()),
        )),
        [] => Ok(()),
    }
}
