//! `skiff queue`

use clap::{Args, ValueEnum};
use skiff_engine::{now, queue, running_clusters};
use skiff_proto::JobRecord;

use crate::error::CommandError;
use crate::setup::Setup;
use crate::table::{ago, duration, table};

#[derive(Debug, Args)]
pub(crate) struct QueueArgs {
    /// Names of clusters; all of yours that are up where none is given
    clusters: Vec<String>,
    /// Leave out jobs that have ended
    #[arg(short, long)]
    skip_finished: bool,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

pub(crate) async fn run(args: QueueArgs, setup: &Setup) -> Result<(), CommandError> {
    let (cluster, _) = setup.connect(None).await?;
    let user = setup.user();
    let names = if args.clusters.is_empty() {
        running_clusters(&cluster, &user).await?
    } else {
        args.clusters
    };
    let mut all = serde_json::Map::new();
    for name in names {
        let (jobs, now) = futures::join!(queue(&cluster, &user, &name), now(&cluster));
        let (mut jobs, now) = (
            jobs?,
            u64::try_from(now.as_millisecond()).unwrap_or_default(),
        );
        jobs.retain(|job| !(args.skip_finished && job.status.is_final()));
        // The newest job is the one that most people look for.
        jobs.reverse();
        if args.output == Output::Json {
            let jobs = serde_json::to_value(&jobs).expect("records are plain data");
            all.insert(name, jobs);
        } else {
            let rows = jobs.iter().map(|job| row(job, now));
            let head = [
                "ID",
                "NAME",
                "USER",
                "SUBMITTED",
                "STARTED",
                "DURATION",
                "NODES",
                "RESOURCES",
                "STATUS",
                "LOG",
            ];
            setup.printer.data(&format!(
                "Job queue of cluster {name}\n{}",
                table(&head, rows)
            ));
        }
    }
    if args.output == Output::Json {
        setup
            .printer
            .data(&format!("{:#}\n", serde_json::Value::Object(all)));
    }
    Ok(())
}

fn row(job: &JobRecord, now: u64) -> Vec<String> {
    let since = |moment: u64| now.saturating_sub(moment) / 1000;
    let ran = job
        .started_ms
        .map(|start| job.ended_ms.unwrap_or(now).saturating_sub(start) / 1000);
    vec![
        job.id.to_string(),
        job.name.clone().unwrap_or_else(|| "-".to_owned()),
        job.user.clone(),
        ago(Some(since(job.submitted_ms))),
        ago(job.started_ms.map(since)),
        ran.map_or_else(|| "-".to_owned(), duration),
        job.num_nodes.to_string(),
        job.resources.clone(),
        job.status.to_string(),
        job.log_dir.clone(),
    ]
}
