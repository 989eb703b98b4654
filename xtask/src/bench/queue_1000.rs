//! A thousand short jobs on one node, one after the other: what the queue costs, and how it answers meanwhile.

use std::process::Command;

use anyhow::{Context, Result};

use super::Bench;
use super::lab::Lab;
use super::measurement::Target;
use crate::command;

/// The example of `skiff-wire` that submits the jobs and says what that took.
const EXAMPLE: &str = "queue_jobs";
const JOBS: &str = "1000";
const CLUSTER: &str = "bench-idle";

/// The time of a job.
#[derive(Default)]
pub(super) struct Queue1000 {
    pod: String,
}

/// The time of the table of all jobs while they wait.
#[derive(Default)]
pub(super) struct Queue1000Table {
    pod: String,
}

impl Bench for Queue1000 {
    fn name(&self) -> &'static str {
        "queue_1000"
    }

    fn about(&self) -> &'static str {
        "1,000 jobs of `true` on a node with one slot, the time of each"
    }

    fn target(&self) -> Target {
        Target::AtMost(0.020)
    }

    fn runs(&self) -> usize {
        3
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        self.pod = prepare(lab)?;
        Ok(())
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        line(lab, &self.pod, 0)
    }
}

impl Bench for Queue1000Table {
    fn name(&self) -> &'static str {
        "queue_1000_table"
    }

    fn about(&self) -> &'static str {
        "the agent's table of jobs while 1,000 of them wait"
    }

    fn target(&self) -> Target {
        Target::AtMost(0.050)
    }

    fn runs(&self) -> usize {
        3
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        self.pod = prepare(lab)?;
        Ok(())
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        line(lab, &self.pod, 1)
    }
}

/// Builds the example; gives a pod whose queue is empty, for the table of the runs before is part of what is measured.
fn prepare(lab: &mut Lab) -> Result<String> {
    let mut build = lab.project().cargo();
    build.args([
        "build",
        "--release",
        "--package",
        "skiff-wire",
        "--example",
        EXAMPLE,
    ]);
    command::shown(&mut build)?;
    lab.idle_pod(CLUSTER)
}

/// Submits the jobs and waits for them; the number in this line of what the example prints.
fn line(lab: &Lab, pod: &str, index: usize) -> Result<f64> {
    let example = lab.project().target.join("release/examples").join(EXAMPLE);
    let way = [
        "exec",
        "-i",
        pod,
        "-c",
        "task",
        "--",
        "/skiff/bin/task",
        "connect",
    ];
    let mut fill = Command::new(example);
    let kubectl = lab.kubectl(&way);
    fill.arg(JOBS)
        .arg(kubectl.get_program())
        .args(kubectl.get_args());
    for (name, value) in kubectl.get_envs() {
        if let Some(value) = value {
            fill.env(name, value);
        }
    }
    let output = command::captured(&mut fill)?;
    let line = output.lines().nth(index);
    line.and_then(|line| line.parse().ok())
        .with_context(|| format!("{EXAMPLE} printed no number: {output:?}"))
}
