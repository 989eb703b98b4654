//! Behind the API: processes of a local cluster's node, which is this machine.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Pod;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

use crate::Namespace;

/// One process of this machine.
struct Process {
    pid: i32,
    words: Vec<String>,
}

fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            let words = line
                .split(|byte| *byte == 0)
                .map(|word| String::from_utf8_lossy(word).into_owned());
            Some(Process {
                pid,
                words: words.collect(),
            })
        })
        .collect()
}

fn kill(process: &Process, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(process.pid).context("a process has a number")?;
    Ok(kill_process(pid, signal)?)
}

/// Kills one component of the local cluster whose state is in this folder.
pub fn kill_component(folder: &Path, name: &str) -> Result<()> {
    let folder = folder.to_string_lossy();
    let own = |process: &Process| {
        let program = process
            .words
            .first()
            .is_some_and(|word| Path::new(word).file_name() == Some(name.as_ref()));
        program && process.words.iter().any(|word| word.contains(&*folder))
    };
    match processes()
        .into_iter()
        .filter(own)
        .collect::<Vec<_>>()
        .as_slice()
    {
        [one] => kill(one, Signal::KILL),
        found => bail!("there are {} processes {name} of {folder}", found.len()),
    }
}

/// A file system that is mounted on every node of the local cluster under the same path. It goes when this is dropped.
pub struct NodeMount {
    source: PathBuf,
    target: PathBuf,
    nodes: Vec<i32>,
}

impl NodeMount {
    /// Another folder by way of FUSE, over which no overlay can be, as with virtiofs in a virtual machine.
    pub fn fuse(namespace: &Namespace) -> Self {
        let folder = namespace.kubernetes.local_folder();
        let folder = folder.expect("the nodes are this machine");
        let folder = folder.to_string_lossy();
        let is_node = |process: &Process| {
            let mut words = process.words.iter();
            let program = words.next().is_some_and(|word| word.ends_with("/kubelet"));
            program && words.any(|word| word.contains(&*folder))
        };
        let nodes: Vec<i32> = processes()
            .into_iter()
            .filter(is_node)
            .map(|process| process.pid)
            .collect();
        assert!(!nodes.is_empty(), "no kubelet of {folder} runs here");
        let [source, target] = ["fuse-source", "fuse"].map(|name| namespace.home().join(name));
        for path in [&source, &target] {
            fs::create_dir(path).expect("a folder in the test's home");
        }
        let mount = Self {
            source,
            target,
            nodes,
        };
        let words = [
            "bindfs",
            &mount.source.to_string_lossy(),
            &mount.target.to_string_lossy(),
        ]
        .map(str::to_owned);
        mount.on_nodes(&words).expect("bindfs mounts");
        mount
    }

    /// The path of the mount on every node.
    pub fn path(&self) -> &Path {
        &self.target
    }

    /// Where its files are on this machine.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// Whether a loop device has one of its files.
    pub fn is_busy(&self) -> bool {
        let unmount = ["umount", &self.target.to_string_lossy()].map(str::to_owned);
        self.on_nodes(&unmount).is_err()
    }

    fn on_nodes(&self, words: &[String]) -> Result<()> {
        for node in &self.nodes {
            let status = std::process::Command::new("nsenter")
                .arg(format!("--target={node}"))
                .arg("--mount")
                .args(words)
                .stderr(std::process::Stdio::null())
                .status()?;
            if !status.success() {
                bail!("{words:?} on a node: {status}");
            }
        }
        Ok(())
    }
}

impl Drop for NodeMount {
    fn drop(&mut self) {
        let unmount = ["umount", "--lazy", &self.target.to_string_lossy()].map(str::to_owned);
        // Where the test has unmounted it there is nothing to do.
        let _ = self.on_nodes(&unmount);
    }
}

/// The agent that is PID 1 of a pod's task container.
fn agent(pod: &Pod) -> Result<Process> {
    let uid = pod.metadata.uid.as_deref().context("a pod has a uid")?;
    let mut agents = processes().into_iter().filter(|process| {
        let is_agent =
            matches!(process.words.as_slice(), [program, run, ..] if program == "/skiff/bin/task" && run == "run");
        let cgroups = fs::read_to_string(format!("/proc/{}/cgroup", process.pid)).unwrap_or_default();
        is_agent && cgroups.contains(uid)
    });
    agents
        .next()
        .with_context(|| format!("there is no agent of pod {uid} on this machine"))
}

/// Kills a pod's agent, and with it the task container.
pub fn kill_agent(pod: &Pod) -> Result<()> {
    kill(&agent(pod)?, Signal::KILL)
}

/// Stops a pod's agent in its tracks: it answers nothing and cannot say a last word.
pub fn freeze_agent(pod: &Pod) -> Result<()> {
    kill(&agent(pod)?, Signal::STOP)
}

/// A pod whose network is cut off: what it sends and what is sent to it vanishes, and nobody is told. It is healed when this
/// is dropped.
pub struct CutOff {
    /// Holds the pod's network, whatever becomes of its processes.
    network: File,
}

impl CutOff {
    /// Cuts a pod off.
    pub fn new(pod: &Pod) -> Result<Self> {
        let path = format!("/proc/{}/ns/net", agent(pod)?.pid);
        let network = File::open(&path).with_context(|| format!("cannot open {path}"))?;
        let cut = Self { network };
        cut.change("--insert")?;
        Ok(cut)
    }

    fn change(&self, change: &str) -> Result<()> {
        let network = format!(
            "--net=/proc/{}/fd/{}",
            std::process::id(),
            self.network.as_raw_fd()
        );
        for (chain, way) in [("INPUT", "--in-interface"), ("OUTPUT", "--out-interface")] {
            let rule = [change, chain, "!", way, "lo", "--jump", "DROP"];
            let status = std::process::Command::new("nsenter")
                .args([&network, "iptables", "--wait"])
                .args(rule)
                .status()
                .context("nsenter is part of util-linux")?;
            if !status.success() {
                bail!("iptables {}: {status}", rule.join(" "));
            }
        }
        Ok(())
    }
}

impl Drop for CutOff {
    fn drop(&mut self) {
        // Where this fails, whoever waits for the pod's return says so.
        let _ = self.change("--delete");
    }
}

/// Puts a Python script into the place of the agent's executable in a pod's task container, for all who start it from then
/// on; the executable itself is `/skiff/bin/task.real`.
pub async fn replace_agent(pod: &Pod, script: &str) {
    let move_away = "test -e /skiff/bin/task.real || mv /skiff/bin/task /skiff/bin/task.real";
    let write =
        format!("{move_away}; printf %s \"$1\" > /skiff/bin/task; chmod 755 /skiff/bin/task");
    inside_pod(pod, &["/bin/sh", "-ec", &write, "sh", script]).await;
}

/// Runs a command in a pod's task container, without the API server.
pub async fn inside_pod(pod: &Pod, command: &[&str]) {
    let agent = agent(pod).expect("the pod runs on this machine");
    enter(agent.pid, &["--root", "--wd"], command).await;
}

/// Mounts a tmpfs of this size over a folder of a pod's task container.
pub async fn mount_in_pod(pod: &Pod, folder: &str, size: &str) {
    let agent = agent(pod).expect("the pod runs on this machine");
    let options = format!("size={size}");
    let mount = ["mount", "-t", "tmpfs", "-o", &options, "tmpfs", folder];
    enter(agent.pid, &[], &mount).await;
}

async fn enter(pid: i32, options: &[&str], command: &[&str]) {
    let status = Command::new("nsenter")
        .arg(format!("--target={pid}"))
        .arg("--mount")
        .args(options)
        .args(command)
        .env("HOME", "/root")
        .status()
        .await
        .expect("nsenter is part of util-linux");
    assert!(
        status.success(),
        "{command:?} in the namespaces of process {pid}: {status}"
    );
}
