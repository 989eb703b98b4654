//! The agent's client end: moves bytes between its standard streams and one of the agent's sockets, as
//! they are. Started in the task container by `pods/exec`.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use thiserror::Error;

use crate::watch_dir::DirWatch;

/// How long the agent has to open its socket.
const PATIENCE: Duration = Duration::from_secs(10);

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
    let runtime = tokio::runtime::Builder::new_current_thread()
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

fn bridge(socket: UnixStream) -> io::Result<()> {
    let upward = socket.try_clone()?;
    std::thread::Builder::new()
        .stack_size(256 << 10)
        .spawn(move || {
            // Whichever way the input ends: the agent sees that the client has no more to say.
            let _ = copy(io::stdin().lock(), &upward);
            let _ = upward.shutdown(Shutdown::Write);
        })?;
    copy(socket, io::stdout().lock())
}

/// Copies what has arrived, without waiting for more.
fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                to.write_all(&buffer[..count])?;
                to.flush()?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
