//! `skiff ssh`

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Args;
use skiff_engine::{SkiffCluster, ssh_access, ssh_bridge};
use skiff_kube::{Cluster, Selection};
use skiff_proto::ExitStatus;

use crate::error::CommandError;
use crate::progress::Progress;
use crate::setup::Setup;
use crate::ssh_config::SshConfig;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  skiff ssh dev                              a shell on the head node\n  \
                  skiff ssh dev --node 1                     …on the first worker\n  \
                  skiff ssh dev -- nvidia-smi                a command\n  \
                  skiff ssh dev -- -L 8080:localhost:8080    flags of ssh go there too\n\n\
                  `ssh dev`, `scp`, `sftp`, `rsync` and editors know clusters by their names as well: a launch adds one \
                  Include line to ~/.ssh/config, unless SKIFF_NO_SSH_CONFIG is set."
)]
pub(crate) struct SshArgs {
    /// Name of the cluster
    #[arg(required_unless_present = "stdio")]
    cluster: Option<String>,
    /// Node by its rank: 0 is the head, 1 the first worker
    #[arg(long, value_name = "RANK", default_value_t = 0)]
    node: usize,
    /// Command to run there, or flags of ssh
    #[arg(last = true)]
    command: Vec<String>,
    /// Copy between standard input and output and the SSH server of this pod
    #[arg(long, hide = true, value_name = "POD", conflicts_with_all = ["cluster", "node", "command"])]
    stdio: Option<String>,
    /// Namespace of that pod
    #[arg(long, hide = true, requires = "stdio")]
    namespace: Option<String>,
}

pub(crate) async fn run(args: SshArgs, setup: &Setup) -> Result<ExitStatus, CommandError> {
    match (args.stdio, args.cluster) {
        (Some(pod), _) => bridge(&pod, args.namespace, setup).await,
        (None, Some(cluster)) => open(&cluster, args.node, &args.command, setup).await,
        (None, None) => Err(CommandError::usage("no cluster is named", None)),
    }
}

/// Lets `ssh NAME` find a cluster as soon as its head runs.
pub(crate) async fn announce(cluster: &Cluster, name: &str, setup: &Setup, progress: &Progress) {
    if !progress.is_up().await {
        return;
    }
    // What is wrong with the cluster, its launch says; one without a key has an agent without SSH.
    if let Ok(access) = ssh_access(cluster, &setup.user(), name).await
        && let Err(error) = SshConfig::new(&setup.environment).write(&access)
    {
        setup.printer.note(&format!(
            "note: `ssh {name}` will not find the cluster: cannot write its files ({error}); `skiff ssh {name}` will"
        ));
    }
}

/// Lets `ssh NAME` find a cluster no more.
pub(crate) fn forget(cluster: &Cluster, skiff: &SkiffCluster, setup: &Setup) {
    let name = &skiff.record.name;
    let config = SshConfig::new(&setup.environment);
    if let Err(error) = config.remove(name, &skiff.id, &cluster.context, &cluster.namespace) {
        setup.printer.note(&format!(
            "note: cannot remove what leads `ssh {name}` to it: {error}"
        ));
    }
}

/// What OpenSSH talks through. It asks for nothing but the stream: each question would delay every session.
async fn bridge(
    pod: &str,
    namespace: Option<String>,
    setup: &Setup,
) -> Result<ExitStatus, CommandError> {
    let selection = Selection {
        context: setup.context.clone(),
        namespace,
    };
    let cluster = Cluster::connect(&selection, setup.environment.turns()).await?;
    let bridge = ssh_bridge(&cluster, pod, tokio::io::stdin(), tokio::io::stdout());
    match setup.interrupt.unless(Box::pin(bridge)).await {
        Some(result) => Ok(result.map(|()| ExitStatus::Success)?),
        None => Ok(ExitStatus::Interrupted),
    }
}

/// Becomes OpenSSH's client.
async fn open(
    name: &str,
    node: usize,
    command: &[String],
    setup: &Setup,
) -> Result<ExitStatus, CommandError> {
    let (cluster, _) = setup.connect(None).await?;
    let user = setup.user();
    let asking = Box::pin(ssh_access(&cluster, &user, name));
    let Some(access) = setup.interrupt.unless(asking).await else {
        return Ok(ExitStatus::Interrupted);
    };
    let access = access?;
    if node >= access.pods.len() {
        let last = access.pods.len() - 1;
        return Err(CommandError::failure(
            format!("the cluster `{name}` has no node {node}"),
            Some(format!("its nodes are 0 to {last}; 0 is the head")),
        ));
    }
    let config = SshConfig::new(&setup.environment);
    let unwritten = |error: io::Error| {
        let message = format!("cannot write the files for ssh: {error}");
        CommandError::failure(message, None)
    };
    config.write(&access).map_err(unwritten)?;
    let mut ssh = Command::new("ssh");
    for (key, value) in config.options(&access, node).map_err(unwritten)? {
        ssh.arg("-o").arg(format!("{key}={value}"));
    }
    ssh.arg(&access.pods[node]).args(command);
    // Returns only where it fails.
    let error = ssh.exec();
    let hint = "install OpenSSH's client (package openssh-client); it is all that is needed here";
    Err(CommandError::failure(
        format!("cannot run ssh: {error}"),
        Some(hint.to_owned()),
    ))
}
