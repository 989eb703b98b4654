//! SSH into the agent, with OpenSSH's own client over `skiff-agent ssh`.

mod files;
mod forwarding;
mod protocol;
mod sessions;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::{AGENT, Agent, shell};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// An agent and a configuration for OpenSSH that leads to it.
struct Node {
    agent: Agent,
    dir: tempfile::TempDir,
}

impl Node {
    fn start() -> Self {
        let node = Self {
            agent: Agent::start(),
            dir: tempfile::tempdir().expect("a folder"),
        };
        let text = format!(
            "Host node\n  ProxyCommand {AGENT} --root {} ssh\n  StrictHostKeyChecking no\n  \
             UserKnownHostsFile /dev/null\n  LogLevel ERROR\n",
            node.agent.root().display()
        );
        fs::write(node.config(), text).expect("written");
        node
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("config")
    }

    /// A file or folder of the test's own.
    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// One of OpenSSH's programs, ended where it hangs.
    fn client(&self, program: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["60", program, "-F"]).arg(self.config());
        command.stdin(Stdio::null());
        command
    }

    /// OpenSSH's client by itself: what is done to the process is done to it.
    fn background(&self) -> Command {
        let mut command = Command::new("ssh");
        command.arg("-F").arg(self.config()).stdin(Stdio::null());
        command
    }

    fn ssh(&self, args: &[&str]) -> Output {
        self.client("ssh")
            .args(args)
            .output()
            .expect("OpenSSH runs")
    }

    /// What a command prints there.
    fn run(&self, command: &str) -> String {
        let output = self.ssh(&["node", command]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }
}

/// Waits for something that is about to be so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_running(mark: &str) -> bool {
    !shell(&format!("pgrep -f '^sleep {mark}$'")).is_empty()
}

/// Bytes that do not repeat soon.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

/// A client in the background that is killed at the test's end.
struct Background(Child);

impl Background {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("OpenSSH runs"))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
