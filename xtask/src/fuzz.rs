//! `cargo xtask fuzz`: random inputs on everything that reads what users write.
//!
//! Each target is a process of its own with a limit of memory; when it dies, the input that it was
//! trying lies in a file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::{fs, thread};

use anyhow::{Result, bail};
use clap::Args;

use crate::command;
use crate::project::Project;
use crate::report;

/// Everything that can be tried.
const TARGETS: [&str; 3] = ["reader", "substitution", "pod_config"];
/// How many processes run at the same time.
const AT_ONCE: usize = 2;

#[derive(Args)]
pub(crate) struct FuzzArgs {
    /// What to try; everything, if nothing is named.
    #[arg(value_parser = TARGETS)]
    targets: Vec<String>,
    /// How long each target is tried.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Another seed makes other inputs.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Builds the program and runs it for each target.
pub(crate) fn run(project: &Project, args: &FuzzArgs) -> Result<()> {
    let mut build = project.cargo();
    build.args(["build", "--release", "--package", "skiff-fuzz"]);
    command::shown(&mut build)?;
    let mut targets: Vec<&str> = args.targets.iter().map(String::as_str).collect();
    if targets.is_empty() {
        targets.extend(TARGETS);
    }
    let waiting = Mutex::new(targets.into_iter());
    let next = || waiting.lock().ok().and_then(|mut targets| targets.next());
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(target) = next() {
                    if let Err(error) = try_target(project, args, target) {
                        report::failure(&error);
                        failed.lock().expect("nobody panics").push(target);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("nobody panics");
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn try_target(project: &Project, args: &FuzzArgs, target: &str) -> Result<()> {
    let output = project.target.join("fuzz");
    let mut attempt = Command::new(project.target.join("release/skiff-fuzz"));
    attempt
        .arg(target)
        .args(["--seconds", &(args.minutes * 60).to_string()])
        .args(["--seed", &args.seed.to_string()])
        .arg("--output")
        .arg(&output);
    report::step(target, format!("trying inputs for {} min", args.minutes));
    command::shown(&mut attempt).map_err(|error| {
        match kept(&output.join(format!("{target}.current"))) {
            Some(file) => error.context(format!("{target}: the last input is {}", file.display())),
            None => error,
        }
    })
}

/// The input that a process was trying when it ended before its time.
fn kept(current: &Path) -> Option<PathBuf> {
    let last = current.with_extension("last");
    fs::rename(current, &last).ok()?;
    Some(last)
}
