//! The Docker image's daemon without any pod: unpacked on the disk of the local cluster and started on this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::build_context::BuildContext;
use super::lab::{Lab, number_behind_marker};
use crate::command;
use crate::project::VERSION;

const SCRIPT: &str = include_str!("node_daemon.sh");
/// Where the build's folder lies for the daemon.
const FOLDER: &str = "/build";

/// A daemon that runs until the value is dropped.
pub(super) struct NodeDaemon {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl NodeDaemon {
    /// Unpacks the image and starts its daemon, with a copy of the build's folder.
    pub(super) fn start(lab: &Lab, context: &BuildContext) -> Result<Self> {
        let root = lab.root_tree("node-daemon")?;
        let layout = lab.tree("node-daemon-image")?;
        let archive = lab.project().images().join(format!("docker-{VERSION}.tar"));
        command::shown(
            Command::new("tar")
                .args(["-xf"])
                .arg(&archive)
                .arg("-C")
                .arg(&layout),
        )?;
        for layer in layers(&layout)? {
            let mut unpack = command::as_root("tar");
            unpack.args(["--zstd", "-xf"]).arg(layout.join(layer));
            command::shown(unpack.arg("-C").arg(&root))?;
        }
        let mut copy = command::as_root("cp");
        copy.arg("-r").arg(context.path());
        command::shown(copy.arg(root.join(FOLDER.trim_start_matches('/'))))?;
        let mut start = command::as_root("unshare");
        start
            .args([
                "--mount",
                "--net",
                "--pid",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                SCRIPT,
                "sh",
            ])
            .arg(&root)
            .arg(FOLDER);
        let mut process = start
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the node's daemon")?;
        let input = process.stdin.take();
        let output = process.stdout.take().context("it was asked for")?;
        let output = BufReader::new(output);
        Ok(Self {
            process,
            input,
            output,
        })
    }

    /// Runs a line of shell beside the daemon; gives the number that it prints behind the marker.
    pub(super) fn told(&mut self, line: &str) -> Result<f64> {
        let input = self.input.as_mut().context("the daemon has ended")?;
        writeln!(input, "{line}").context("the node's daemon takes no more builds")?;
        for printed in self.output.by_ref().lines() {
            let printed = printed.context("the node's daemon cannot be read")?;
            if let Some(number) = number_behind_marker(&printed) {
                return Ok(number);
            }
        }
        bail!("the build on the node failed")
    }
}

impl Drop for NodeDaemon {
    fn drop(&mut self) {
        // The end of its input is its end.
        self.input = None;
        let _ = self.process.wait();
    }
}

/// The layers of an image in the form that `docker save` writes.
fn layers(layout: &Path) -> Result<Vec<String>> {
    let file = layout.join("manifest.json");
    let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let manifest: Value = serde_json::from_slice(&text).context("the image has no manifest")?;
    let layers = manifest[0]["Layers"]
        .as_array()
        .context("the image has no layers")?;
    Ok(layers
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect())
}
