//! `skiff volumes delete`

use clap::Args;
use skiff_engine::{VolumesToDelete, delete_volume};

use crate::error::CommandError;
use crate::setup::Setup;

#[derive(Debug, Args)]
#[command(
    after_help = "What pods use is not deleted. What a volume took by `use_existing` stays as a mere claim."
)]
pub(crate) struct DeleteArgs {
    /// Names of volumes, or globs of your own such as `'test-*'`
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    volumes: Vec<String>,
    /// All of your volumes
    #[arg(short, long)]
    all: bool,
    /// Delete what pods use as well: Kubernetes lets go of it when they have ended
    #[arg(short, long)]
    purge: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(super) async fn run(args: DeleteArgs, setup: &Setup) -> Result<(), CommandError> {
    let (cluster, _) = setup.connect(None).await?;
    let every = ["*".to_owned()];
    let patterns = if args.all {
        &every
    } else {
        args.volumes.as_slice()
    };
    let found = VolumesToDelete::find(&cluster, &setup.user(), patterns).await?;
    let names: Vec<&str> = found.volumes.iter().map(|it| it.name.as_str()).collect();
    let question = format!("Deleting {}, data included. Proceed?", names.join(", "));
    if !found.volumes.is_empty() && !setup.confirmed(args.yes, &question)? {
        return Ok(());
    }
    let deletions = found.volumes.iter().map(async |volume| {
        let result = delete_volume(&cluster, volume, args.purge).await;
        let name = &volume.name;
        match &result {
            Ok(true) if volume.is_existing => setup.printer.note(&format!(
                "✓ {name} is no volume any more; its claim {} stays.",
                volume.name_on_cloud
            )),
            Ok(true) => setup.printer.note(&format!("✓ Volume {name} is deleted.")),
            Ok(false) => setup.printer.note(&format!(
                "✓ Volume {name} is being deleted, and goes when no pod uses it any more."
            )),
            Err(_) => {}
        }
        result
    });
    for result in futures::future::join_all(deletions).await {
        result?;
    }
    if args.all && found.volumes.is_empty() {
        setup.printer.note("There is no volume to delete.");
        return Ok(());
    }
    match found.unmatched.first() {
        Some(name) if !args.all => Err(CommandError::failure(
            format!(
                "there is no volume `{name}` in namespace {} of context {}",
                cluster.namespace, cluster.context
            ),
            Some("`skiff volumes ls` lists them".to_owned()),
        )),
        _ => Ok(()),
    }
}
