//! A task of a thousand nodes, from its text to the pods: no cluster has a part in it.

use std::process::Command;

use anyhow::{Context, Result};

use super::Bench;
use super::lab::Lab;
use super::measurement::{Target, Unit};
use crate::command;

/// The example of `skiff-compile` that compiles the task and says what it took.
const EXAMPLE: &str = "compile_many";

/// The time.
pub(super) struct Compile1000;

/// The memory of the whole process.
pub(super) struct Compile1000Memory;

impl Bench for Compile1000 {
    fn name(&self) -> &'static str {
        "compile_1000"
    }

    fn about(&self) -> &'static str {
        "a task of 1,000 nodes, from its text to the pods"
    }

    fn target(&self) -> Target {
        Target::AtMost(0.050)
    }

    fn runs(&self) -> usize {
        31
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        build(lab)
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        line(lab, 0)
    }
}

impl Bench for Compile1000Memory {
    fn name(&self) -> &'static str {
        "compile_1000_rss"
    }

    fn about(&self) -> &'static str {
        "the most memory of the process that compiles a task of 1,000 nodes"
    }

    fn unit(&self) -> Unit {
        Unit::Mebibytes
    }

    fn target(&self) -> Target {
        Target::AtMost(64.0)
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        build(lab)
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        Ok(line(lab, 1)? / 1024.0)
    }
}

fn build(lab: &Lab) -> Result<()> {
    let mut build = lab.project().cargo();
    build.args([
        "build",
        "--release",
        "--package",
        "skiff-compile",
        "--example",
        EXAMPLE,
    ]);
    command::shown(&mut build)
}

/// Compiles once; the number in this line of what it prints.
fn line(lab: &Lab, index: usize) -> Result<f64> {
    let example = lab.project().target.join("release/examples").join(EXAMPLE);
    let output = command::captured(&mut Command::new(&example))?;
    let line = output.lines().nth(index);
    line.and_then(|line| line.parse().ok())
        .with_context(|| format!("{} printed no number: {output:?}", example.display()))
}
