//! `skiff logs`

use clap::Args;
use skiff_engine::{LogOptions, download_logs, job, logs};
use skiff_kube::Cluster;
use skiff_proto::{ExitStatus, JobId, LogPart};

use crate::commands::queue::Output;
use crate::commands::{conclude, target};
use crate::error::CommandError;
use crate::setup::Setup;

#[derive(Debug, Args)]
#[command(after_help = "Values of the task's secrets are shown as *****.\n\n\
    Exit codes: 0 the job succeeded, or its log was shown as far as --no-follow asks; 100 it failed;\n\
    101 it has not ended; 102 there is no such job; 103 it was cancelled.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct LogsArgs {
    /// Name of the cluster
    cluster: String,
    /// The job's number, several of them with --sync-down; the newest job where none is given
    #[arg(value_name = "JOB_ID")]
    jobs: Vec<JobId>,
    /// Print the job's state instead of its log; the exit code tells it too
    #[arg(long, conflicts_with_all = ["sync_down", "rank", "follow", "no_follow"])]
    status: bool,
    /// Download all logs of the jobs to `~/sky_logs/CLUSTER/` and print where they are; run again, it brings what is new
    #[arg(short, long, conflicts_with_all = ["rank", "follow"])]
    sync_down: bool,
    /// Only what the node of this rank writes; 0 is the first of the job's nodes
    #[arg(short = 'w', long, visible_aliases = ["node", "worker"], value_name = "RANK")]
    rank: Option<u32>,
    /// Stay until the job ends (this is so anyway)
    #[arg(long, overrides_with = "no_follow")]
    follow: bool,
    /// Show what is there, and end
    #[arg(long, overrides_with = "follow")]
    no_follow: bool,
    /// Begin with the last so many lines; 0 is all
    #[arg(long, value_name = "LINES", default_value_t = 1000)]
    tail: u64,
    /// How to print what --status and --sync-down tell
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

pub(crate) async fn run(args: LogsArgs, setup: &Setup) -> Result<ExitStatus, CommandError> {
    if args.jobs.len() > 1 && !args.sync_down {
        let hint = "--sync-down downloads the logs of several jobs".to_owned();
        return Err(CommandError::usage(
            "only one job's log can be shown",
            Some(hint),
        ));
    }
    if args.output == Output::Json && !(args.status || args.sync_down) {
        let message = "-o json needs --status or --sync-down";
        return Err(CommandError::usage(message, None));
    }
    let (cluster, _) = setup.connect(None).await?;
    let work = async {
        if args.sync_down {
            return sync_down(&args, setup, &cluster).await;
        }
        status(&args, setup, &cluster).await
    };
    if args.sync_down || args.status {
        let done = Box::pin(setup.interrupt.unless(work)).await;
        return done.unwrap_or(Ok(ExitStatus::Interrupted));
    }
    stream(&args, setup, &cluster).await
}

/// Prints the job's state.
async fn status(
    args: &LogsArgs,
    setup: &Setup,
    cluster: &Cluster,
) -> Result<ExitStatus, CommandError> {
    let wanted = args.jobs.first().copied();
    let job = job(cluster, &setup.user(), &args.cluster, wanted).await?;
    setup.printer.data(&match args.output {
        Output::Json => {
            let job = serde_json::to_value(&job).expect("records are plain data");
            format!("{job:#}\n")
        }
        Output::Table => format!("Job {}: {}\n", job.id, job.status),
    });
    Ok(job.status.into())
}

/// Downloads the jobs' logs.
async fn sync_down(
    args: &LogsArgs,
    setup: &Setup,
    cluster: &Cluster,
) -> Result<ExitStatus, CommandError> {
    let below = setup.environment.home.join("sky_logs").join(&args.cluster);
    let wanted: Vec<Option<JobId>> = if args.jobs.is_empty() {
        vec![None]
    } else {
        args.jobs.iter().copied().map(Some).collect()
    };
    let mut paths = serde_json::Map::new();
    for job in wanted {
        let progress = setup.progress();
        let user = setup.user();
        let downloaded = download_logs(cluster, &user, &args.cluster, job, &below, &progress).await;
        progress.clear();
        let downloaded = downloaded?;
        let (id, dir) = (downloaded.job.id, downloaded.dir.display().to_string());
        if args.output == Output::Table {
            setup.printer.data(&format!("Job {id} logs: {dir}\n"));
        }
        paths.insert(id.to_string(), dir.into());
    }
    if args.output == Output::Json {
        let paths = serde_json::Value::Object(paths);
        setup.printer.data(&format!("{paths:#}\n"));
    }
    Ok(ExitStatus::Success)
}

/// Shows the job's log.
async fn stream(
    args: &LogsArgs,
    setup: &Setup,
    cluster: &Cluster,
) -> Result<ExitStatus, CommandError> {
    let options = LogOptions {
        job: args.jobs.first().copied(),
        part: args.rank.map_or(LogPart::Job, LogPart::Rank),
        follow: !args.no_follow,
        tail: (args.tail > 0).then_some(args.tail),
    };
    let progress = setup.progress();
    let outcome = logs(
        cluster,
        &setup.user(),
        &args.cluster,
        &options,
        &setup.interrupt,
        &progress,
    )
    .await;
    progress.clear();
    let outcome = outcome?;
    let status = conclude(
        &outcome,
        &target(&args.cluster, &cluster.context),
        setup.printer,
    );
    // What was asked for is what is there: a job that goes on is no failure of that.
    Ok(if args.no_follow && status == ExitStatus::JobNotFinished {
        ExitStatus::Success
    } else {
        status
    })
}
