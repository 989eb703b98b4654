//! `skiff logs`

use clap::Args;
use skiff_engine::{LogOptions, logs};
use skiff_proto::{ExitStatus, JobId};

use crate::commands::{conclude, target};
use crate::error::CommandError;
use crate::setup::Setup;

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Name of the cluster
    cluster: String,
    /// The job's number; the newest job where none is given
    job: Option<JobId>,
    /// Stay until the job ends (this is so anyway)
    #[arg(long, overrides_with = "no_follow")]
    follow: bool,
    /// Show what is there, and end
    #[arg(long, overrides_with = "follow")]
    no_follow: bool,
    /// Begin with the last so many lines; 0 is all
    #[arg(long, value_name = "LINES", default_value_t = 1000)]
    tail: u64,
}

pub(crate) async fn run(args: LogsArgs, setup: &Setup) -> Result<ExitStatus, CommandError> {
    let (cluster, _) = setup.connect(None).await?;
    let tail = (args.tail > 0).then_some(args.tail);
    let options = LogOptions {
        job: args.job,
        follow: !args.no_follow,
        tail,
    };
    let progress = setup.progress();
    let outcome = logs(
        &cluster,
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
