//! The daemon's containerd, started beside it and before it.
//!
//! The daemon would start one of its own, but asks for it too early and then waits a whole second before
//! it asks again: that is more than half of its start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use skiff_proto::paths;

use super::SidecarError;
use super::daemon::{EXEC_ROOT, find_program};
use crate::watch_dir::DirWatch;

/// How long it has to open its socket.
const PATIENCE: Duration = Duration::from_secs(20);

/// A containerd that was started.
#[derive(Debug)]
pub(super) struct Containerd {
    /// Its process; nobody has waited for it.
    pub(super) child: Child,
    program: PathBuf,
}

/// Its socket's path.
pub(super) fn socket() -> PathBuf {
    folder().join("containerd.sock")
}

fn folder() -> PathBuf {
    Path::new(EXEC_ROOT).join("containerd")
}

/// Starts it with its output to this pipe; None where the image has none under the usual name, which
/// leaves it to the daemon.
pub(super) fn start(output: io::PipeWriter) -> Result<Option<Containerd>, SidecarError> {
    let Some(program) = find_program("containerd") else {
        return Ok(None);
    };
    let folder = folder();
    let folder_error = |error| SidecarError::Folder(folder.clone(), error);
    fs::create_dir_all(&folder).map_err(folder_error)?;
    let config = folder.join("containerd.toml");
    fs::write(&config, configuration()).map_err(folder_error)?;
    // One that an earlier start of the container left would be taken for the new one's.
    match fs::remove_file(socket()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(folder_error(error)),
        _ => {}
    }
    let program_error = |error| SidecarError::Daemon(program.clone(), error);
    let child = Command::new(&program)
        .arg("--config")
        .arg(&config)
        .stdin(Stdio::null())
        .stderr(output.try_clone().map_err(program_error)?)
        .stdout(output)
        .spawn()
        .map_err(program_error)?;
    Ok(Some(Containerd { child, program }))
}

/// What the daemon would write for one of its own.
fn configuration() -> String {
    format!(
        "version = 2\n\
         root = \"{data}/containerd/daemon\"\n\
         state = \"{EXEC_ROOT}/containerd/daemon\"\n\
         disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
         [grpc]\n\
         address = \"{socket}\"\n\
         [debug]\n\
         level = \"warn\"\n",
        data = paths::DOCKER_DATA,
        socket = socket().display(),
    )
}

impl Containerd {
    /// Its executable.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// Returns when its socket is there; the daemon's own patience comes behind.
    pub(super) async fn is_there() -> io::Result<()> {
        let waited = tokio::time::timeout(PATIENCE, async {
            let mut changes = DirWatch::new(&folder())?;
            while !socket().exists() {
                changes.changed().await?;
            }
            Ok(())
        });
        waited
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}
