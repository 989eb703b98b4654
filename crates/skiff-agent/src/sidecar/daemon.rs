//! The daemon's executable: what it can do, and its arguments.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use skiff_proto::{AddressPool, DockerSettings, paths};

use super::firewall::Firewall;
use super::{SidecarError, containerd};
use crate::layout::Layout;

/// Its runtime state, which goes with the container.
pub(super) const EXEC_ROOT: &str = "/run/docker";
/// Where it listens for tools that know no unix socket: nobody outside of the pod gets there.
const TCP_ADDRESS: &str = "127.0.0.1:2375";
const PIDFILE: &str = "/run/docker.pid";
/// How long containers have to end when the daemon does, in seconds.
const SHUTDOWN_TIMEOUT: u32 = 5;
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The daemon, ready to be started.
#[derive(Debug)]
pub(super) struct Daemon {
    program: PathBuf,
    /// Its option list, as it prints it.
    help: String,
    arguments: Vec<String>,
    path: OsString,
}

/// The executable, found.
#[derive(Debug)]
pub(super) struct Program(PathBuf);

/// The executable, asked for its options; it answers while other things are prepared.
#[derive(Debug)]
pub(super) struct Question {
    program: PathBuf,
    help: Child,
}

/// What was found out for the daemon's arguments.
#[derive(Debug)]
pub(super) struct Choices {
    /// The pod network's largest packet.
    pub(super) mtu: Option<u32>,
    /// Where nested networks get their addresses; empty where the daemon's own choice will do.
    pub(super) pools: Vec<AddressPool>,
    /// The flavour of iptables.
    pub(super) firewall: Firewall,
    /// Whether containerd runs already.
    pub(super) has_containerd: bool,
    /// The storage driver, where its own choice would not do.
    pub(super) storage_driver: Option<&'static str>,
}

impl Daemon {
    pub(super) fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// Decides the arguments.
    pub(super) fn configure(
        &mut self,
        layout: &Layout,
        choices: &Choices,
        settings: &DockerSettings,
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
        if choices.has_containerd {
            self.arguments
                .push(format!("--containerd={}", containerd::socket().display()));
        }
        if let Some(driver) = choices.storage_driver {
            self.arguments.push(format!("--storage-driver={driver}"));
        }
        if let Some(mtu) = choices.mtu {
            self.arguments.push(format!("--mtu={mtu}"));
            // The option above counts for the default network alone; networks that users make have their
            // own, which daemons before 24 cannot be told.
            if self.help.contains("--default-network-opt") {
                self.arguments.push(format!(
                    "--default-network-opt=bridge=com.docker.network.driver.mtu={mtu}"
                ));
            }
        }
        self.arguments.extend(choices.pools.iter().map(|pool| {
            let AddressPool { base, size } = pool;
            format!("--default-address-pool=base={base},size={size}")
        }));
        self.arguments.extend(configured(settings));
        self.path = choices.firewall.search_path(&search_path());
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
    /// Asks for its options.
    pub(super) fn ask(self) -> Result<Question, SidecarError> {
        let help = Command::new(&self.0)
            .arg("--help")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        match help {
            Ok(help) => Ok(Question {
                program: self.0,
                help,
            }),
            Err(error) => Err(SidecarError::Daemon(self.0, error)),
        }
    }
}

impl Question {
    /// Waits for the answer.
    pub(super) fn answer(self) -> Result<Daemon, SidecarError> {
        match self.help.wait_with_output() {
            Ok(output) => Ok(Daemon {
                program: self.program,
                help: String::from_utf8_lossy(&output.stdout).into_owned(),
                arguments: Vec::new(),
                path: OsString::new(),
            }),
            Err(error) => Err(SidecarError::Daemon(self.program, error)),
        }
    }
}

/// What the configuration adds. The builder within the daemon asks the same registries.
fn configured(settings: &DockerSettings) -> Vec<String> {
    let mirrors = settings.registry_mirrors.iter();
    let mut arguments: Vec<String> = mirrors
        .map(|mirror| format!("--registry-mirror={mirror}"))
        .collect();
    let insecure = settings.insecure_registries.iter();
    arguments.extend(insecure.map(|registry| format!("--insecure-registry={registry}")));
    if settings.expose_tcp {
        arguments.push(format!("--host=tcp://{TCP_ADDRESS}"));
        // Said like this the daemon does not wait 15 seconds for somebody to think better of it.
        arguments.push("--tls=false".to_owned());
    }
    arguments
}

/// Removes what an earlier daemon in this pod left and a new one would stumble over. That something is
/// not there is the usual case; what cannot be removed, the daemon itself complains about.
pub(super) fn remove_leftovers(layout: &Layout) {
    let socket = layout.at(paths::DOCKER_SOCKET);
    for file in [Path::new(PIDFILE), &socket] {
        let _ = fs::remove_file(file);
    }
    // A mount of the socket's path from before the socket was there makes a folder of it.
    let _ = fs::remove_dir(&socket);
}

/// Looks for the daemon's executable on the search path.
pub(super) fn find() -> Result<Program, SidecarError> {
    find_program("dockerd")
        .map(Program)
        .ok_or(SidecarError::NoDaemon)
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

#[cfg(test)]
mod tests {
    use skiff_proto::DockerSettings;

    use super::configured;

    #[test]
    fn nothing_configured_adds_nothing() {
        assert_eq!(configured(&DockerSettings::default()), Vec::<String>::new());
    }

    #[test]
    fn registries_and_the_local_port_are_the_daemons_arguments() {
        let settings = DockerSettings {
            registry_mirrors: vec!["http://mirror:5000".into()],
            insecure_registries: vec!["10.0.0.0/8".into(), "plain:5000".into()],
            expose_tcp: true,
            ..DockerSettings::default()
        };
        assert_eq!(
            configured(&settings),
            [
                "--registry-mirror=http://mirror:5000",
                "--insecure-registry=10.0.0.0/8",
                "--insecure-registry=plain:5000",
                "--host=tcp://127.0.0.1:2375",
                "--tls=false",
            ]
        );
    }
}
