//! SSH into the nodes of a cluster: what a client must know beforehand, and the way to a node's server.

use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::signature::{Ed25519KeyPair, KeyPair};
use skiff_compile::{ClusterName, labels};
use skiff_kube::{ApiError, Cluster, ExecStream};
use skiff_proto::ClusterKey;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

use crate::User;
use crate::cluster::{ClusterError, SkiffCluster, find_owner};
use crate::connect::CONTAINER;

/// The agent's bridge to its SSH server.
const BRIDGE: &[&str] = &["/skiff/bin/task", "ssh"];
/// Time for the stream to be opened.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a container may take to be started again: the API server answers meanwhile that there is none.
const RESTART: Duration = Duration::from_secs(10);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(250);
/// What is copied at once.
const CHUNK: usize = 128 << 10;

/// What an SSH client must know of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshAccess {
    /// Its name as the user typed it.
    pub name: String,
    /// Its name in Kubernetes.
    pub id: String,
    /// Its pods, by rank.
    pub pods: Vec<String>,
    /// The public key of every node, in the form of a line of known hosts, without the host.
    pub host_key: String,
    /// The kubeconfig's context.
    pub context: String,
    /// The namespace.
    pub namespace: String,
}

/// Why SSH into a cluster is not possible.
#[derive(Debug, Error)]
pub enum SshError {
    /// The cluster cannot be found.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The cluster has no key: it was made by another version.
    #[error("the cluster `{name}` has no key for SSH")]
    NoKey {
        /// Its name.
        name: String,
    },
    /// The API server did not open a stream.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// It did not open it in time.
    #[error("no way to pod {pod} within {} s", OPEN_TIMEOUT.as_secs())]
    Late {
        /// The pod.
        pod: String,
    },
    /// The stream ended before the client did.
    #[error("the connection to pod {pod} was lost{}", told(.reason))]
    Lost {
        /// The pod.
        pod: String,
        /// What is known of why.
        reason: String,
    },
    /// The client's own streams broke.
    #[error("cannot talk to the SSH client")]
    Client(#[source] io::Error),
}

impl SshError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Cluster(error) => error.hint(),
            Self::NoKey { .. } => {
                Some("take the cluster down and launch it again with this version".to_owned())
            }
            Self::Api(error) if error.is_not_found() => {
                Some("`skiff status` shows which clusters are up; `skiff start` starts one that was stopped".to_owned())
            }
            Self::Api(error) => error.hint(),
            Self::Late { .. } | Self::Lost { .. } => Some(
                "connect again; what must outlive a connection belongs in a job, or in tmux"
                    .to_owned(),
            ),
            Self::Client(_) => None,
        }
    }
}

fn told(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    }
}

/// Asks for the cluster's key and the number of its nodes.
pub async fn ssh_access(cluster: &Cluster, user: &User, name: &str) -> Result<SshAccess, SshError> {
    let id = ClusterName::new(name, &user.hash).map_err(ClusterError::from)?;
    let secret = find_owner(cluster, user, name).await?;
    let held = SkiffCluster::from_secret(&secret).map_err(ClusterError::from)?;
    let key = secret
        .data
        .as_ref()
        .and_then(|data| data.get(labels::CLUSTER_KEY))
        .and_then(|key| ClusterKey::parse(std::str::from_utf8(&key.0).ok()?))
        .ok_or_else(|| SshError::NoKey {
            name: name.to_owned(),
        })?;
    Ok(SshAccess {
        name: held.record.name,
        pods: (0..held.record.num_nodes)
            .map(|rank| id.pod(rank))
            .collect(),
        id: id.as_str().to_owned(),
        host_key: host_key(&key),
        context: cluster.context.clone(),
        namespace: cluster.namespace.clone(),
    })
}

/// `ssh-ed25519 AAAA…`
fn host_key(key: &ClusterKey) -> String {
    let pair = Ed25519KeyPair::from_seed_unchecked(&key.host_seed());
    let pair = pair.expect("any 32 bytes are a seed");
    let kind = "ssh-ed25519";
    let mut blob = Vec::new();
    for part in [kind.as_bytes(), pair.public_key().as_ref()] {
        let length = u32::try_from(part.len()).expect("both are short");
        blob.extend_from_slice(&length.to_be_bytes());
        blob.extend_from_slice(part);
    }
    format!("{kind} {}", BASE64.encode(blob))
}

/// Copies between an SSH client and the server of a pod, until either ends.
pub async fn ssh_bridge(
    cluster: &Cluster,
    pod: &str,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
) -> Result<(), SshError> {
    let stream = open(cluster, pod).await?;
    let upward = copy(input, stream.stdin);
    let downward = copy(stream.stdout, output);
    tokio::pin!(upward, downward);
    tokio::select! {
        result = &mut upward => match result {
            // The client has no more to say; what is still on its way to it arrives.
            Ok(()) => downward.await.map_err(SshError::Client),
            Err(_) => Err(lost(pod, stream.end.reason().await)),
        },
        result = &mut downward => match result {
            Ok(()) => Err(lost(pod, stream.end.reason().await)),
            Err(error) => Err(SshError::Client(error)),
        },
    }
}

async fn open(cluster: &Cluster, pod: &str) -> Result<ExecStream, SshError> {
    let started = Instant::now();
    loop {
        let turn = cluster.turn(pod).await;
        let opening = timeout(OPEN_TIMEOUT, cluster.exec(turn, pod, CONTAINER, BRIDGE)).await;
        let opened = opening.map_err(|_| SshError::Late {
            pod: pod.to_owned(),
        })?;
        match opened {
            Err(error)
                if error.is_transient()
                    && !error.is_unreachable()
                    && started.elapsed() < RESTART =>
            {
                sleep(PAUSE).await;
            }
            result => return Ok(result?),
        }
    }
}

fn lost(pod: &str, reason: String) -> SshError {
    SshError::Lost {
        pod: pod.to_owned(),
        reason,
    }
}

async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
        to.flush().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::host_key;
    use skiff_proto::ClusterKey;

    #[test]
    fn the_host_key_is_one_that_openssh_reads() {
        let line = host_key(&ClusterKey::new([7; 32]));
        let encoded = line.strip_prefix("ssh-ed25519 ").expect("its kind");
        // 4 + 11 + 4 + 32 bytes.
        assert_eq!(
            (encoded.len(), &encoded[..20]),
            (68, "AAAAC3NzaC1lZDI1NTE5")
        );
    }
}
