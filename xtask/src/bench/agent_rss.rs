//! The agent's memory when nothing runs.

use anyhow::Result;

use super::Bench;
use super::lab::Lab;
use super::measurement::{Target, Unit};

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
        lab.agent_memory(&self.pod, "VmRSS:")
    }
}
