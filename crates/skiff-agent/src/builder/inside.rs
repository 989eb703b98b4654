//! The agent among the builder's own users, as their root: looks what it can do there, says so, and becomes the
//! builder.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};
use skiff_proto::paths;
use thiserror::Error;

use super::layers::{self, Snapshotter};
use super::leftovers::mount_namespace;
use super::program::BUILDKITD;
use super::{configuration, leftovers};
use crate::layout::Layout;
use crate::sidecar::file_system::FileSystem;
use crate::sidecar::settings::{self, SettingsError};
use crate::with_causes;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Findings {
    /// Why there will be no builder.
    pub(super) refused: Option<String>,
    /// What the data lies on.
    pub(super) storage: Option<String>,
    /// How layers are put upon each other.
    pub(super) snapshotter: Option<String>,
    /// Why not in a faster way.
    pub(super) slower_because: Option<String>,
    /// Whether build steps have processes of their own.
    pub(super) process_sandbox: bool,
    /// Where the builder's mounts are.
    pub(super) mounts: Option<leftovers::MountNamespace>,
}

/// There will be no builder.
#[derive(Debug, Error)]
pub(crate) enum InsideError {
    /// What the sidecar is told makes no sense to it.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The data lies where images cannot be unpacked.
    #[error(
        "{dir} is on {kind}, which does not keep the owners of files: images cannot be unpacked there; it needs a volume \
         on a local disk, or none"
    )]
    Owners {
        /// The folder.
        dir: PathBuf,
        /// The kind of its file system.
        kind: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The data cannot be written.
    #[error("cannot write to {0}, where the builder's data belongs")]
    Write(PathBuf, #[source] io::Error),
    /// Only copies of everything would work.
    #[error(
        "each build step would copy the whole image here ({0}); `enable_docker: {{mode: BUILD, allow_slow_storage: \
         true}}` allows that, a newer kernel (5.11) or a local disk makes it needless"
    )]
    Slow(String),
    /// What was found cannot be told.
    #[error("cannot write {0}")]
    Tell(PathBuf, #[source] io::Error),
    /// The builder cannot be started.
    #[error("cannot run {BUILDKITD}")]
    Start(#[source] io::Error),
}

/// The folder of the builder's data.
pub(super) fn data(layout: &Layout) -> PathBuf {
    if *layout == Layout::default() {
        PathBuf::from(paths::BUILDKIT_DATA)
    } else {
        layout.at(paths::BUILDKIT_DATA)
    }
}

/// What was found at the last start.
pub(super) fn found(layout: &Layout) -> Option<Findings> {
    serde_json::from_slice(&fs::read(file(layout)).ok()?).ok()
}

fn file(layout: &Layout) -> PathBuf {
    layout.at(paths::BUILDER).join("inside.json")
}

/// Looks around and becomes the builder; returns only where that fails.
pub(crate) fn run(layout: &Layout) -> Result<Infallible, InsideError> {
    let mut findings = Findings::default();
    let looked = look(&mut findings, &data(layout));
    findings.refused = looked.as_ref().err().map(|error| with_causes(error));
    tell(&findings, layout)?;
    let snapshotter = looked?;
    let mut command = Command::new(BUILDKITD);
    command
        .arg("--config")
        .arg(configuration::path(layout))
        .arg(format!("--oci-worker-snapshotter={}", snapshotter.name()));
    if !findings.process_sandbox {
        command.arg("--oci-worker-no-process-sandbox");
    }
    Err(InsideError::Start(command.exec()))
}

fn look(findings: &mut Findings, data: &Path) -> Result<Snapshotter, InsideError> {
    let settings = settings::read()?;
    let system = FileSystem::of(data);
    findings.storage = Some(system.kind.clone());
    findings.mounts = mount_namespace("self");
    layers::keeps_owners(data).map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied if fs::write(data.join(".skiff-test"), b"").is_err() => {
            InsideError::Write(data.to_owned(), source)
        }
        io::ErrorKind::StorageFull | io::ErrorKind::ReadOnlyFilesystem => {
            InsideError::Write(data.to_owned(), source)
        }
        _ => InsideError::Owners {
            dir: data.to_owned(),
            kind: system.kind,
            source,
        },
    })?;
    let (snapshotter, why) = layers::choose(data);
    let name = snapshotter.name();
    findings.snapshotter = Some(name.to_owned());
    findings.slower_because.clone_from(&why);
    if snapshotter == Snapshotter::Native && !settings.allow_slow_storage {
        return Err(InsideError::Slow(why.unwrap_or_default()));
    }
    findings.process_sandbox = may_mount_proc();
    Ok(snapshotter)
}

fn tell(findings: &Findings, layout: &Layout) -> Result<(), InsideError> {
    let file = file(layout);
    let text = serde_json::to_vec(findings).unwrap_or_default();
    fs::write(&file, text).map_err(|error| InsideError::Tell(file, error))
}

/// Whether a build step can have a `/proc` of its own, and so processes of its own: the kernel allows that only where
/// nothing of the container's is hidden.
fn may_mount_proc() -> bool {
    let mut trial = Command::new("/proc/self/exe");
    trial.arg("own-proc").stdin(Stdio::null());
    trial.stdout(Stdio::null()).stderr(Stdio::null());
    trial.status().is_ok_and(|status| status.success())
}

/// Tries it, in a process that is for nothing else.
pub(crate) fn try_own_proc(is_first: bool) -> ExitCode {
    let tried = if is_first {
        mount_proc()
    } else {
        in_new_namespaces()
    };
    match tried {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn in_new_namespaces() -> io::Result<()> {
    #[expect(
        deprecated,
        reason = "the replacement is unsafe for the sake of flags that these are not: new processes and mounts touch no \
                  memory and no file of this process"
    )]
    rustix::thread::unshare(UnshareFlags::NEWPID | UnshareFlags::NEWNS)?;
    let status = Command::new("/proc/self/exe")
        .args(["own-proc", "--first"])
        .stdin(Stdio::null())
        .status()?;
    let failed = || io::Error::from(io::ErrorKind::PermissionDenied);
    status.success().then_some(()).ok_or_else(failed)
}

fn mount_proc() -> io::Result<()> {
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(mount("proc", "/proc", "proc", flags, None)?)
}
