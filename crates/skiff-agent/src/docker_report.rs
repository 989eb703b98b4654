//! What the Docker sidecar found, chose and went through, as JSON in the folder it shares with the
//! agent. Written by the wrapper, read by the agent.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};
use skiff_proto::{DiskUse, DockerFacts, paths};

use crate::cgroup::size;
use crate::docker_causes::explain;
use crate::layout::Layout;
use crate::wish::Ending;
use crate::{report, with_causes};

/// How much of the end of the daemon's log is looked at.
const TAIL: u64 = 16 << 10;
/// How many lines of it are quoted.
const TAIL_LINES: usize = 12;

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
    /// The sidecar's limit of memory in bytes, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memory_limit: Option<u64>,
    /// How often the kernel has killed here for want of memory.
    #[serde(default)]
    pub(crate) memory_kills: u64,
    /// How the sidecar before this one ended, where it could not say so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) earlier: Option<String>,
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

    /// Takes in how the wrapper came to its end. Why what it wrapped died, it has said where it is known.
    pub(crate) fn close<E: std::error::Error + 'static>(&mut self, result: &Result<Ending, E>) {
        (self.phase, self.cause) = match result {
            Ok(Ending::Left) => (Phase::Ended, self.cause.take()),
            Ok(Ending::Stopped) => (
                Phase::Ended,
                Some("its container was told to stop".to_owned()),
            ),
            Ok(Ending::Died(_)) => return,
            Err(error) => (Phase::Unusable, Some(with_causes(error))),
        };
    }

    /// Replaces the report; one that cannot be written is said where the kubelet keeps it.
    pub(crate) fn tell(&self, layout: &Layout) {
        if let Err(error) = self.write(layout) {
            report(&format!("cannot write the report on Docker: {error}"));
        }
    }

    /// Replaces the report.
    fn write(&self, layout: &Layout) -> io::Result<()> {
        let path = layout.at(paths::DOCKER_REPORT);
        let fresh = path.with_extension("json.tmp");
        fs::write(&fresh, serde_json::to_vec_pretty(self)?)?;
        fs::rename(fresh, path)
    }

    /// Where memory was wanted, and how to get more: the end of a sentence.
    pub(crate) fn memory_words(&self) -> String {
        match self.memory_limit {
            Some(limit) => format!(
                "at the Docker sidecar's memory limit of {}; give it more with `enable_docker.resources`",
                size(limit)
            ),
            None => {
                "on a node whose memory was used up; ask for some with `enable_docker.resources`"
                    .to_owned()
            }
        }
    }
}

/// What is known of why there is no daemon.
pub(crate) fn last_words(layout: &Layout, otherwise: &str) -> String {
    let Some(report) = DockerReport::read(layout) else {
        return "its container has not started".to_owned();
    };
    let cause = report.cause.or(report.earlier);
    let mut words = cause.unwrap_or_else(|| otherwise.to_owned());
    let log = log_tail(layout);
    if let Some(known) = explain(&log) {
        words.push_str("; ");
        words.push_str(known.meaning);
    }
    if !log.is_empty() {
        words.push_str("; the end of its log:\n");
        words.push_str(&log);
    }
    words
}

/// The last lines of the daemon's log that tell something; empty where there is none.
pub(crate) fn log_tail(layout: &Layout) -> String {
    let end = log_since(layout, 0).unwrap_or_default();
    // The newest file may have just begun.
    let before = layout.at(paths::DOCKER_LOG).with_extension("log.1");
    match quoted(&end) {
        none if none.is_empty() => quoted(&read_end(&before, 0).unwrap_or_default()),
        lines => lines,
    }
}

/// What the daemon has written since its log was so long, as far as that is not too much.
pub(crate) fn log_since(layout: &Layout, length: u64) -> io::Result<String> {
    read_end(&layout.at(paths::DOCKER_LOG), length)
}

/// The length of the daemon's log.
pub(crate) fn log_length(layout: &Layout) -> u64 {
    fs::metadata(layout.at(paths::DOCKER_LOG)).map_or(0, |file| file.len())
}

fn read_end(path: &Path, from: u64) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    // A shorter one has begun anew.
    let from = if from > length { 0 } else { from };
    file.seek(SeekFrom::Start(from.max(length.saturating_sub(TAIL))))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last lines; where there are others than notes, those.
fn quoted(text: &str) -> String {
    let is_note = |line: &&str| line.contains(" level=info ");
    let mut lines: Vec<&str> = text.lines().filter(|line| !is_note(line)).collect();
    if lines.is_empty() {
        lines = text.lines().collect();
    }
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn notes_are_quoted_only_where_there_is_nothing_else() {
        let notes =
            "time=\"1\" level=info msg=\"Starting up\"\ntime=\"2\" level=info msg=\"Loading\"";
        assert_eq!(quoted(notes), notes);
        let text = format!("{notes}\nfailed to start daemon: no space\n{notes}\n");
        assert_eq!(quoted(&text), "failed to start daemon: no space");
    }
}
