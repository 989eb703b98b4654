//! The daemon's executable: what it can do, and its arguments.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use skiff_proto::paths;

use super::SidecarError;
use super::firewall::Firewall;
use crate::layout::Layout;

/// Its runtime state, which goes with the container.
const EXEC_ROOT: &str = "/run/docker";
const PIDFILE: &str = "/run/docker.pid";
/// How long containers have to end when the daemon does, in seconds.
const SHUTDOWN_TIMEOUT: u32 = 5;
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The daemon, ready to be started.
#[derive(Debug)]
pub(super) struct Daemon {
    program: PathBuf,
    version: String,
    /// Its option list, as it prints it.
    help: String,
    arguments: Vec<String>,
    path: OsString,
}

/// The executable, found.
#[derive(Debug)]
pub(super) struct Program(PathBuf);

/// The executable, asked what it can do; it answers while other things are prepared.
#[derive(Debug)]
pub(super) struct Questions {
    program: PathBuf,
    version: Child,
    help: Child,
}

impl Daemon {
    /// Looks for the executable on the search path.
    pub(super) fn find() -> Result<Program, SidecarError> {
        find_program("dockerd")
            .map(Program)
            .ok_or(SidecarError::NoDaemon)
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    pub(super) fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// Decides the arguments.
    pub(super) fn configure(
        &mut self,
        layout: &Layout,
        mtu: Option<u32>,
        pool: Option<String>,
        firewall: &Firewall,
    ) {
        let socket = layout.at(paths::DOCKER_SOCKET);
        self.arguments = vec![
            format!("--host=unix://{}", socket.display()),
            format!("--group={}", paths::DOCKER_GROUP),
            format!("--data-root={}", paths::DOCKER_DATA),
            format!("--exec-root={EXEC_ROOT}"),
            format!("--pidfile={PIDFILE}"),
            format!("--shutdown-timeout={SHUTDOWN_TIMEOUT}"),
        ];
        if let Some(mtu) = mtu {
            self.arguments.push(format!("--mtu={mtu}"));
            // The option above counts for the default network alone; networks that users make have their
            // own, which daemons before 24 cannot be told.
            if self.help.contains("--default-network-opt") {
                self.arguments.push(format!(
                    "--default-network-opt=bridge=com.docker.network.driver.mtu={mtu}"
                ));
            }
        }
        if let Some(pool) = pool {
            self.arguments
                .push(format!("--default-address-pool={pool}"));
        }
        self.path = firewall.search_path(&search_path());
    }

    /// The command that runs it, with its output to this pipe.
    pub(super) fn command(&self, output: io::PipeWriter) -> io::Result<Command> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env("PATH", &self.path);
        // Docker looks for this where it asks whether it is in a container itself.
        command.env("container", "docker");
        command
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output);
        Ok(command)
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }
}

impl Program {
    /// Asks for its version and its options.
    pub(super) fn ask(self) -> Result<Questions, SidecarError> {
        let program = self.0;
        let ask = |argument| {
            Command::new(&program)
                .arg(argument)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .map_err(|error| SidecarError::Daemon(program.clone(), error))
        };
        let (version, help) = (ask("--version")?, ask("--help")?);
        Ok(Questions {
            program,
            version,
            help,
        })
    }
}

impl Questions {
    /// Waits for the answers.
    pub(super) fn answers(self) -> Result<Daemon, SidecarError> {
        let read = |child: Child| {
            child
                .wait_with_output()
                .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
                .map_err(|error| SidecarError::Daemon(self.program.clone(), error))
        };
        let (version, help) = (read(self.version)?, read(self.help)?);
        let path = OsString::new();
        Ok(Daemon {
            program: self.program,
            version,
            help,
            arguments: Vec::new(),
            path,
        })
    }
}

/// Removes what an earlier daemon in this pod left and a new one would stumble over. That something is
/// not there is the usual case; what cannot be removed, the daemon itself complains about.
pub(super) fn remove_leftovers(layout: &Layout) {
    let socket = layout.at(paths::DOCKER_SOCKET);
    let containerd = Path::new(EXEC_ROOT).join("containerd/containerd.pid");
    for file in [Path::new(PIDFILE), &containerd, &socket] {
        let _ = fs::remove_file(file);
    }
    // A mount of the socket's path from before the socket was there makes a folder of it.
    let _ = fs::remove_dir(&socket);
}

/// A program of the image by its name.
pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&search_path())
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

fn search_path() -> OsString {
    std::env::var_os("PATH")
        .filter(|path| !path.is_empty())
        .unwrap_or_else(|| USUAL_PATH.into())
}
