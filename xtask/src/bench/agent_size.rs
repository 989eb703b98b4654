//! The agent that travels to every namespace.

use std::fs;

use anyhow::Result;

use super::Bench;
use super::lab::Lab;
use super::measurement::{Target, Unit};
use crate::build;

pub(super) struct AgentSize;

impl Bench for AgentSize {
    fn name(&self) -> &'static str {
        "agent_size"
    }

    fn about(&self) -> &'static str {
        "the static agent's file"
    }

    fn unit(&self) -> Unit {
        Unit::Mebibytes
    }

    fn target(&self) -> Target {
        Target::AtMost(4.0)
    }

    fn runs(&self) -> usize {
        1
    }

    fn prepare(&mut self, _lab: &mut Lab) -> Result<()> {
        Ok(())
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        let kibibytes = fs::metadata(build::agent(lab.project())?)?
            .len()
            .div_ceil(1024);
        Ok(f64::from(u32::try_from(kibibytes)?) / 1024.0)
    }
}
