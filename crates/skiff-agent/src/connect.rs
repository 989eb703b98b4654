//! The agent's client end: moves bytes between its standard streams and one of the agent's sockets, as
//! they are. Started in the task container by `pods/exec`.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use rustix::fs::OFlags;
use thiserror::Error;
use tokio::io::{AsyncWriteExt, BufReader, copy_buf};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::runtime::Builder;

use crate::watch_dir::DirWatch;

/// How long the agent has to open its socket.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes that are moved at once.
const CHUNK: usize = 64 << 10;

/// There is no way to the agent.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    /// The folder of the socket cannot be made or watched.
    #[error("cannot watch {0}")]
    Watch(PathBuf, #[source] io::Error),
    /// Nobody answers at the socket.
    #[error("the agent did not open {0} in {1:?}")]
    NoAgent(PathBuf, Duration),
    /// The socket refused for another reason than that it is not there yet.
    #[error("cannot connect to {0}")]
    Refused(PathBuf, #[source] io::Error),
    /// The system refused what the bridge needs.
    #[error("cannot copy between the standard streams and the agent")]
    Copy(#[source] io::Error),
}

/// Runs the bridge until either side ends.
pub(crate) fn connect(path: &Path) -> Result<ExitCode, ConnectError> {
    let socket = match open(path)? {
        Some(socket) => socket,
        None => wait_for(path)?,
    };
    bridge(socket).map_err(ConnectError::Copy)?;
    Ok(ExitCode::SUCCESS)
}

/// The connection; None where the agent does not listen yet.
fn open(path: &Path) -> Result<Option<UnixStream>, ConnectError> {
    match UnixStream::connect(path) {
        Ok(socket) => Ok(Some(socket)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(ConnectError::Refused(path.to_owned(), error)),
    }
}

fn wait_for(path: &Path) -> Result<UnixStream, ConnectError> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let watch_error = |error| ConnectError::Watch(dir.to_owned(), error);
    std::fs::create_dir_all(dir).map_err(watch_error)?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(watch_error)?;
    runtime.block_on(async {
        let mut watch = DirWatch::new(dir).map_err(watch_error)?;
        tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(socket) = open(path)? {
                    return Ok(socket);
                }
                watch.changed().await.map_err(watch_error)?;
            }
        })
        .await
        .unwrap_or_else(|_| Err(ConnectError::NoAgent(path.to_owned(), PATIENCE)))
    })
}

/// Without a thread: where the pod's limit of processes is reached there is none to be had, and this is how one looks
/// what has happened.
fn bridge(socket: UnixStream) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let input = Receiver::from_file_unchecked(unblocked(io::stdin())?)?;
        let mut output = Sender::from_file_unchecked(unblocked(io::stdout())?)?;
        socket.set_nonblocking(true)?;
        let (from_agent, mut to_agent) = tokio::net::UnixStream::from_std(socket)?.into_split();
        let upward = async {
            // Whichever way the input ends: the agent sees that the client has no more to say.
            let _ = copy_buf(&mut BufReader::with_capacity(CHUNK, input), &mut to_agent).await;
            let _ = to_agent.shutdown().await;
            std::future::pending().await
        };
        let mut from_agent = BufReader::with_capacity(CHUNK, from_agent);
        tokio::select! {
            copied = copy_buf(&mut from_agent, &mut output) => match copied {
                // The agent has ended before it has taken everything, or the connection at all.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
                copied => copied.map(drop),
            },
            never = upward => never,
        }
    })
}

/// A standard stream whose reads and writes do not wait.
fn unblocked(stream: impl AsFd) -> io::Result<File> {
    let stream = stream.as_fd().try_clone_to_owned()?;
    let flags = rustix::fs::fcntl_getfl(&stream)?;
    rustix::fs::fcntl_setfl(&stream, flags | OFlags::NONBLOCK)?;
    Ok(File::from(stream))
}
