//! The agent's memory when nothing runs.

use anyhow::{Context, Result};

use super::Bench;
use super::lab::Lab;
use super::measurement::{Target, Unit};
use crate::command;

#[derive(Default)]
pub(super) struct AgentRss {
    pod: String,
}

impl Bench for AgentRss {
    fn name(&self) -> &'static str {
        "agent_rss"
    }

    fn about(&self) -> &'static str {
        "resident memory of the agent after its job has ended"
    }

    fn unit(&self) -> Unit {
        Unit::Mebibytes
    }

    fn target(&self) -> Target {
        Target::AtMost(8.0)
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        self.pod = lab.idle_pod("bench-idle")?;
        Ok(())
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        let words = [
            "exec",
            &self.pod,
            "-c",
            "task",
            "--",
            "cat",
            "/proc/1/status",
        ];
        let status = command::captured(&mut lab.kubectl(&words))?;
        let kibibytes = resident(&status).context("the agent's status has no VmRSS")?;
        Ok(f64::from(kibibytes) / 1024.0)
    }
}

/// The resident size in KiB out of `/proc/<pid>/status`.
fn resident(status: &str) -> Option<u32> {
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    value.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_size_is_found_in_the_status() {
        assert_eq!(
            resident("Name:\ttask\nVmRSS:\t    2816 kB\nThreads:\t1\n"),
            Some(2816)
        );
        assert_eq!(resident("Name:\ttask\n"), None);
    }
}
