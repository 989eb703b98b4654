//! `skiff cancel`

use clap::Args;
use skiff_engine::{CancelTarget, cancel};
use skiff_proto::JobId;

use crate::error::CommandError;
use crate::setup::Setup;

#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// Name of the cluster
    cluster: String,
    /// Numbers of jobs; the newest unfinished one where none is given
    #[arg(conflicts_with = "all")]
    jobs: Vec<JobId>,
    /// Every unfinished job
    #[arg(short, long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(crate) async fn run(args: CancelArgs, setup: &Setup) -> Result<(), CommandError> {
    let what = match args.jobs.as_slice() {
        _ if args.all => "all unfinished jobs".to_owned(),
        [] => "the newest unfinished job".to_owned(),
        jobs => format!(
            "job {}",
            jobs.iter()
                .map(JobId::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        ),
    };
    let question = format!("Cancelling {what} on cluster '{}'. Proceed?", args.cluster);
    if !setup.confirmed(args.yes, &question)? {
        return Ok(());
    }
    let (cluster, _) = setup.connect(None).await?;
    let target = match args.jobs {
        _ if args.all => CancelTarget::All,
        jobs if jobs.is_empty() => CancelTarget::Newest,
        jobs => CancelTarget::Jobs(jobs),
    };
    let cancelled = cancel(&cluster, &setup.user(), &args.cluster, target).await?;
    if cancelled.is_empty() {
        setup.printer.note("There is nothing to cancel.");
    }
    for job in cancelled {
        setup
            .printer
            .note(&format!("✓ Job {}: {}", job.id, job.status));
    }
    Ok(())
}
