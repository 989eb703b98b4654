//! The agent's SSH server, on a unix socket that only who is let into the container can reach. Why it is made so:
//! `docs/design/ssh.md`.

mod channel;
mod channels;
mod connection;
mod exchange;
mod forward;
mod hangup;
mod listening;
mod packets;
mod program;
mod relay;
mod resolver;
mod secret;
mod session;
mod terminal;
pub(crate) mod wire;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use skiff_proto::{ClusterKey, paths};
use thiserror::Error;
use tokio::net::UnixListener;

use crate::environment::Surroundings;
use crate::idle::Activity;
use crate::passwd;
use crate::reaper::Reaper;
use crate::server;
use exchange::{ExchangeError, HostKey};
pub(crate) use resolver::resolve;

/// How long to wait before the next try where no client can be taken.
const PAUSE: Duration = Duration::from_millis(100);

/// The server cannot run.
#[derive(Debug, Error)]
pub(crate) enum SshError {
    /// There is no host key.
    #[error("cannot make a host key")]
    Key(#[source] ExchangeError),
    /// The cluster's key is there and is none.
    #[error("{0} holds no key")]
    NoKey(PathBuf),
    /// The cluster's key cannot be read.
    #[error("cannot read {0}")]
    Read(PathBuf, #[source] io::Error),
    /// The socket cannot be opened.
    #[error("cannot listen at {0}")]
    Listen(PathBuf, #[source] io::Error),
}

/// What all connections have in common.
pub(crate) struct Host {
    key: HostKey,
    surroundings: Surroundings,
    /// The shell that the user's account names.
    shell: Option<PathBuf>,
    reaper: Reaper,
}

/// Opens the socket and serves it from now on; each connection counts as work while it lasts.
pub(crate) fn start(
    surroundings: Surroundings,
    reaper: Reaper,
    activity: Activity,
) -> Result<(), SshError> {
    let key = host_key(&surroundings.layout.at(paths::CLUSTER_KEY))?;
    let uid = rustix::process::geteuid().as_raw();
    let shell = passwd::account(Path::new("/etc/passwd"), uid).and_then(|account| account.shell);
    let path = surroundings.layout.at(paths::SSH_SOCKET);
    let listener = server::listen(&path).map_err(|error| SshError::Listen(path, error))?;
    let host = Arc::new(Host {
        key,
        surroundings,
        shell,
        reaper,
    });
    tokio::spawn(serve(listener, host, activity));
    Ok(())
}

/// The key that all nodes of the cluster share; a fresh one where the agent runs by itself.
fn host_key(path: &Path) -> Result<HostKey, SshError> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let key = ClusterKey::parse(&text).ok_or_else(|| SshError::NoKey(path.to_owned()))?;
            Ok(HostKey::from_seed(&key.host_seed()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            HostKey::random().map_err(SshError::Key)
        }
        Err(error) => Err(SshError::Read(path.to_owned(), error)),
    }
}

async fn serve(listener: UnixListener, host: Arc<Host>, activity: Activity) {
    loop {
        // A client that has gone again already, or no file left for it: others are served.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let (host, busy) = (Arc::clone(&host), activity.session());
        tokio::spawn(async move {
            connection::serve(stream, host).await;
            drop(busy);
        });
    }
}
