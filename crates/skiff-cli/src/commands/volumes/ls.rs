//! `skiff volumes ls`

use clap::Args;
use serde_json::json;
use skiff_engine::{VolumeStatus, list_volumes, now};

use crate::commands::queue::Output;
use crate::error::CommandError;
use crate::setup::Setup;
use crate::table::{span, table};

#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Show more of each
    #[arg(short, long)]
    verbose: bool,
    /// Ask Kubernetes anew, which every call does
    #[arg(short, long, hide = true)]
    refresh: bool,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

pub(super) async fn run(args: LsArgs, setup: &Setup) -> Result<(), CommandError> {
    let (cluster, _) = setup.connect(None).await?;
    let (volumes, now) = futures::join!(list_volumes(&cluster), now(&cluster));
    let volumes = volumes?;
    if args.output == Output::Json {
        let all = volumes.iter().map(|volume| as_json(volume, &cluster));
        let all: Vec<_> = all.collect();
        setup.printer.data(&format!("{:#}\n", json!(all)));
        return Ok(());
    }
    if volumes.is_empty() {
        setup.printer.data(&format!(
            "No volumes in namespace {} of {}.\n",
            cluster.namespace, cluster.context
        ));
        return Ok(());
    }
    let mut head = vec![
        "NAME", "TYPE", "INFRA", "SIZE", "USER", "AGE", "STATUS", "USED_BY",
    ];
    if args.verbose {
        head.extend(["NAME_ON_CLOUD", "STORAGE_CLASS", "ACCESS_MODE"]);
    }
    let has_message = volumes.iter().any(|volume| volume.message.is_some());
    if has_message || args.verbose {
        head.push("MESSAGE");
    }
    let rows = volumes.iter().map(|volume| {
        let mut row = row(volume, now, &cluster.context);
        if args.verbose {
            row.extend(details(volume));
        }
        if has_message || args.verbose {
            row.push(or_dash(volume.message.clone()));
        }
        row
    });
    setup
        .printer
        .data(&format!("Kubernetes PVCs:\n{}", table(&head, rows)));
    Ok(())
}

fn row(volume: &VolumeStatus, now: jiff::Timestamp, context: &str) -> Vec<String> {
    let age = volume.created.map(|created| {
        let seconds = now.as_second() - created.as_second();
        span(u64::try_from(seconds).unwrap_or_default())
    });
    let used_by = volume.used_by.as_ref().map(|users| users.join(", "));
    vec![
        volume.name.clone(),
        volume.kind.to_owned(),
        format!("Kubernetes ({context})"),
        volume.size.clone(),
        or_dash(volume.user.clone()),
        or_dash(age),
        volume.status.to_string(),
        or_dash(used_by.filter(|users| !users.is_empty())),
    ]
}

fn details(volume: &VolumeStatus) -> [String; 3] {
    [
        volume.name_on_cloud.clone(),
        or_dash(volume.storage_class.clone()),
        or_dash(Some(volume.access_modes.join(", "))),
    ]
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

fn as_json(volume: &VolumeStatus, cluster: &skiff_kube::Cluster) -> serde_json::Value {
    let mut value = json!(volume);
    value["infra"] = json!({ "cloud": "kubernetes", "context": cluster.context });
    value["namespace"] = json!(cluster.namespace);
    value["created_at"] = json!(volume.created.map(|created| created.to_string()));
    value
}
