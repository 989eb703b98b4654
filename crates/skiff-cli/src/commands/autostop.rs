//! `skiff autostop`

use clap::Args;
use skiff_engine::autostop;
use skiff_proto::{Autostop, WaitFor};

use crate::autostop_args::WaitForArg;
use crate::cluster_args::ClusterArgs;
use crate::error::CommandError;
use crate::setup::Setup;

/// Minutes where nothing is said, as in `sky autostop`.
const USUAL: u64 = 5;

#[derive(Debug, Args)]
#[command(
    after_help = "The cluster itself watches the time: this machine need not stay on.\n\n\
    Examples:\n  skiff autostop dev -i 30 --down    take `dev` down after 30 minutes without work\n  \
    skiff autostop dev -i 120 --down --wait-for none\n                                     \
    …in 2 hours, whatever runs then\n  skiff autostop dev --cancel        keep it until `skiff down`"
)]
pub(crate) struct AutostopArgs {
    #[command(flatten)]
    clusters: ClusterArgs,
    /// Minutes without work, counted from now; 5 where none are given; less than 0: never
    #[arg(
        short,
        long,
        value_name = "MINUTES",
        allow_negative_numbers = true,
        conflicts_with = "cancel"
    )]
    idle_minutes: Option<i64>,
    /// Take the cluster down; else it is stopped
    #[arg(long, conflicts_with = "cancel")]
    down: bool,
    /// What counts as work: `jobs_and_ssh`, `jobs`, or `none`, which makes the time a limit; `jobs_and_ssh` where nothing is given
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        conflicts_with = "cancel"
    )]
    wait_for: Option<WaitForArg>,
    /// Let the cluster never end by itself
    #[arg(long)]
    cancel: bool,
    /// Do not ask; this command never does
    #[arg(short, long, hide = true)]
    yes: bool,
}

pub(crate) async fn run(args: AutostopArgs, setup: &Setup) -> Result<(), CommandError> {
    let (cluster, _) = setup.connect(None).await?;
    let user = setup.user();
    let policy = args.policy();
    let found = args.clusters.find(&cluster, setup).await?;
    for skiff in &found.clusters {
        let name = &skiff.record.name;
        autostop(&cluster, &user, name, policy).await?;
        setup.printer.note(&match policy {
            None => format!("✓ Cluster {name} stays until `skiff down {name}`."),
            Some(policy) => format!("✓ Cluster {name} {}.", fate(&policy)),
        });
    }
    found.end(setup, "There is no cluster.")
}

impl AutostopArgs {
    fn policy(&self) -> Option<Autostop> {
        let minutes = match self.idle_minutes {
            _ if self.cancel => return None,
            None => USUAL,
            Some(minutes) => u64::try_from(minutes).ok()?.max(1),
        };
        let wait_for = self.wait_for.map(WaitFor::from).unwrap_or_default();
        Some(Autostop::after_minutes(minutes, self.down, wait_for))
    }
}

/// What will become of a cluster.
fn fate(policy: &Autostop) -> String {
    let end = if policy.down {
        "is taken down"
    } else {
        "is stopped"
    };
    let time = policy.time();
    match policy.wait_for {
        WaitFor::JobsAndSsh => format!("{end} after {time} without jobs and SSH sessions"),
        WaitFor::Jobs => format!("{end} after {time} without jobs"),
        WaitFor::None => format!("{end} in {time}, whatever runs then"),
    }
}
