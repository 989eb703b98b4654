//! The command line as clap sees it.

use clap::{Parser, Subcommand};

use crate::commands;

/// Launch tasks on Kubernetes, Docker included
#[derive(Debug, Parser)]
#[command(
    name = "skiff",
    version,
    arg_required_else_help = true,
    args_override_self = true,
    after_help = "Start here:\n  skiff local up                        a Kubernetes on this machine\n  \
                  skiff launch -c dev -- echo hello     a cluster `dev` that runs a command\n  \
                  skiff launch -c dev task.yaml         …or a SkyPilot task\n  \
                  skiff logs dev, skiff exec dev CMD, skiff status, skiff down dev\n\n\
                  Exit codes: 0 success; 1 failure; 2 wrong usage; 100 the job failed; 101 it has not ended;\n\
                  102 there is no such job; 103 it was cancelled; 130 interrupted."
)]
pub(crate) struct Cli {
    /// Kubernetes context to use, instead of the kubeconfig's current one
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Cluster(Box<ClusterCommand>),
    /// Look at task files, without any cluster
    Task(commands::task::TaskCommandArgs),
    /// Show the configuration, and which line of which file says it
    Config(commands::config::ConfigArgs),
    /// Print a shell's completion script
    Completion(commands::completion::CompletionArgs),
}

/// Commands that wait for others: for API servers, pods, processes.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Launch a task: on a new cluster, or on the one of that name
    Launch(commands::launch::LaunchArgs),
    /// Run a task or command on an existing cluster: syncs the workdir, leaves setup out
    Exec(commands::exec::ExecArgs),
    /// Open a shell on a node, or run a command there, with the system's ssh
    Ssh(commands::ssh::SshArgs),
    /// Show a job's output
    Logs(commands::logs::LogsArgs),
    /// Show a cluster's jobs
    Queue(commands::queue::QueueArgs),
    /// Show clusters
    Status(commands::status::StatusArgs),
    /// Say when clusters end by themselves for want of work
    Autostop(commands::autostop::AutostopArgs),
    /// Cancel jobs
    Cancel(commands::cancel::CancelArgs),
    /// Stop clusters: their pods end, their homes stay
    Stop(commands::stop::StopArgs),
    /// Start clusters that were stopped
    Start(commands::start::StartArgs),
    /// Take clusters down: their pods, jobs and logs end
    Down(commands::down::DownArgs),
    /// Print the Kubernetes objects that a task becomes
    Render(commands::render::RenderArgs),
    /// Make, list and delete volumes that outlive clusters
    #[command(visible_alias = "volume")]
    Volumes(commands::volumes::VolumesArgs),
    /// Say what of Skiff can work on a cluster, and what stands in the way
    Check(commands::check::CheckArgs),
    /// Run a Kubernetes on this machine
    Local(commands::local::LocalArgs),
}
