//! What the Docker sidecar found, chose and went through, as JSON in the folder it shares with the
//! agent. Written by the wrapper, read by the agent.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};
use skiff_proto::{DiskUse, DockerFacts, paths};

use crate::layout::Layout;

/// How much of the daemon's log is quoted.
const TAIL: u64 = 4 << 10;
/// How many lines of it.
const TAIL_LINES: usize = 20;

/// The report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DockerReport {
    /// How far it is.
    pub(crate) phase: Phase,
    /// Why it is not further, where it failed: one lower-case fragment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<String>,
    /// The iptables flavour that works here: `default` or `legacy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) iptables: Option<String>,
    /// The pod network's largest packet in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mtu: Option<u32>,
    /// How the container's control groups were made ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cgroups: Option<String>,
    /// What the daemon's data lies on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) storage: Option<String>,
    /// Where else it might have lain, and why it does not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tried: Vec<String>,
    /// Whose users a builder without privileges has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user_namespace: Option<String>,
    /// Whether a builder's steps have processes of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) process_sandbox: Option<bool>,
    /// What went wrong while it works, where its log or the kernel says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) notice: Option<String>,
    /// How the daemon stores layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) driver: Option<String>,
    /// How much of its room the data takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) disk: Option<DiskUse>,
    /// What came of copying the command-line tools, where the wrapper did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tools: Option<String>,
    /// The daemon's arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) arguments: Vec<String>,
}

/// How far the daemon is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// The wrapper prepares it.
    #[default]
    Preparing,
    /// The daemon was started and the tools are there; whether it answers, its socket says.
    Started,
    /// This pod cannot run it, now or later.
    Unusable,
    /// It ended by itself; the kubelet starts the container again.
    Died,
    /// It was ended on purpose.
    Ended,
}

impl DockerReport {
    /// The report that is there, if any.
    pub(crate) fn read(layout: &Layout) -> Option<Self> {
        serde_json::from_slice(&fs::read(layout.at(paths::DOCKER_REPORT)).ok()?).ok()
    }

    /// What users are told of it.
    pub(crate) fn facts(self) -> DockerFacts {
        DockerFacts {
            storage: self.storage,
            tried: self.tried,
            driver: self.driver,
            user_namespace: self.user_namespace,
            process_sandbox: self.process_sandbox,
            notice: self.notice,
            disk: self.disk,
        }
    }

    /// Replaces the report.
    pub(crate) fn write(&self, layout: &Layout) -> io::Result<()> {
        let path = layout.at(paths::DOCKER_REPORT);
        let fresh = path.with_extension("json.tmp");
        fs::write(&fresh, serde_json::to_vec_pretty(self)?)?;
        fs::rename(fresh, path)
    }
}

/// The last lines of the daemon's log; empty where there is none.
pub(crate) fn log_tail(layout: &Layout) -> String {
    read_tail(&layout.at(paths::DOCKER_LOG)).unwrap_or_default()
}

fn read_tail(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n"))
}
