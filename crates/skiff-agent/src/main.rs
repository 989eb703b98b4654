//! Skiff's agent: PID 1 of a task container (`run`), its client end (`connect`, `ssh`), the wrapper of the
//! Docker daemon (`docker`) or of the builder without privileges (`buildkit`), and the copier of Docker's tools for the
//! task (`tools`).
//!
//! One static executable that travels to every pod. Must not resolve names, ask the system's user
//! database through libc, or need anything of the image beyond a kernel.

mod arguments;
mod builder;
mod cgroup;
mod clock;
mod connect;
mod connection;
mod containers;
mod departure;
mod docker_causes;
mod docker_links;
mod docker_login;
mod docker_report;
mod environment;
mod fault;
mod files;
mod gate;
mod home;
mod hooks;
mod idle;
mod job_log;
mod keeper;
mod known;
mod launcher;
mod layout;
mod link;
mod log_stream;
mod memory_sampler;
mod nodes;
mod owner;
mod passwd;
mod queue;
mod reaper;
mod record;
mod request;
mod run;
mod served_stage;
mod server;
mod session;
mod shell;
mod sidecar;
mod ssh;
mod stages;
mod sync;
mod templates;
mod tools;
mod watch_dir;
mod wish;
mod worker;

use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use arguments::{Arguments, Role};
use layout::Layout;
use skiff_proto::paths;

fn main() -> ExitCode {
    if let Some(folder) = launcher::folder() {
        return fail(
            "tools",
            &launcher::become_tool(&folder, std::env::args_os()),
        );
    }
    let name = std::env::args_os().next().unwrap_or_default();
    if Path::new(&name).file_name() == Some(docker_login::HELPER.as_ref()) {
        return docker_login::answer(std::env::args_os().nth(1).as_deref());
    }
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => return fail("arguments", &error),
    };
    let layout = arguments.layout;
    let result = match arguments.role {
        Role::Run { engine } => run::run(layout, engine).map_err(|e| fail("run", &e)),
        Role::Docker { until_marker } => {
            sidecar::run(&layout, until_marker).map_err(|e| fail("docker", &e))
        }
        Role::Buildkit { until_marker } => {
            builder::run(&layout, until_marker).map_err(|e| fail("buildkit", &e))
        }
        Role::Inside => match builder::inside::run(&layout) {
            Ok(never) => match never {},
            Err(error) => Err(fail("inside", &error)),
        },
        Role::Lend => tools::lend_buildctl(&layout).map_err(|e| fail("lend", &e)),
        Role::OwnProc { is_first } => Ok(builder::inside::try_own_proc(is_first)),
        Role::Tools { stay } => tools::run(&layout, stay).map_err(|e| fail("tools", &e)),
        Role::Connect => {
            connect::connect(&layout.at(paths::AGENT_SOCKET)).map_err(|e| fail("connect", &e))
        }
        Role::Ssh => connect::connect(&layout.at(paths::SSH_SOCKET)).map_err(|e| fail("ssh", &e)),
        Role::Files => files::serve().map_err(|e| fail("files", &e)),
        Role::Session { terminal, command } => {
            return fail("session", &session::become_command(&command, terminal));
        }
        Role::Version => {
            report(&format!("skiff-agent {}", env!("CARGO_PKG_VERSION")));
            Ok(ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|code| code)
}

/// One line on standard error: the container's log, and what the kubelet shows of a failed container.
#[expect(clippy::print_stderr, reason = "standard error is the container's log")]
pub(crate) fn report(line: &str) {
    eprintln!("{line}");
}

/// The agent's own executable.
pub(crate) const OWN: &str = "/proc/self/exe";

/// Starts the agent in another role beside this one.
pub(crate) fn start_beside(layout: &Layout, role: &str) -> io::Result<Child> {
    let mut command = Command::new(OWN);
    command.arg("--root").arg(layout.root()).arg(role);
    command.stdin(Stdio::null()).spawn()
}

/// An error on one line with all causes.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}

/// Says why a role ended, and gives the exit code of failure.
fn fail(role: &str, error: &dyn std::error::Error) -> ExitCode {
    report(&format!("skiff-agent {role}: {}", with_causes(error)));
    ExitCode::FAILURE
}
