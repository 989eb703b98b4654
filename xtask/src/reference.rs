//! `cargo xtask reference`: records anew what SkyPilot makes of the reference cases.
//!
//! Needs the internet for pip, once; no cluster, and nothing of the user's. The tests compare Skiff
//! with what is recorded and do not come here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;
use crate::packages::{self, Package};
use crate::project::Project;
use crate::report;

/// The version of SkyPilot whose files Skiff reads.
const VERSION: &str = "0.14.1";
/// The program that records, for SkyPilot's own Python.
const RECORD: &str = include_str!("reference/record.py");
const PACKAGES: [Package; 1] = [Package::new("python3-venv", "python3", "runs SkyPilot")];
const NAME: &str = "reference";

/// Installs SkyPilot apart if it is not there yet, and writes `tests/reference/recorded.jsonl`.
pub(crate) fn run(project: &Project) -> Result<()> {
    let python = install(project)?;
    let folder = project.root.join("tests/reference");
    report::step(NAME, "running every case through SkyPilot, about 30 s");
    let mut record = Command::new(python);
    record
        .arg("-")
        .args([folder.join("cases"), folder.join("recorded.jsonl")])
        // Sets are printed in the order of hashes.
        .env("PYTHONHASHSEED", "0");
    let counts = command::fed(&mut record, RECORD.as_bytes())?;
    report::step(NAME, counts.trim());
    Ok(())
}

/// The Python that has SkyPilot.
fn install(project: &Project) -> Result<PathBuf> {
    let folder = project.home.join("reference").join(VERSION);
    let python = folder.join("bin/python");
    let complete = folder.join("complete");
    let _lock = project.lock(NAME)?;
    if complete.exists() {
        return Ok(python);
    }
    packages::ensure(&PACKAGES)?;
    report::step(
        NAME,
        format!(
            "installing SkyPilot {VERSION} into {}, about 2 min",
            folder.display()
        ),
    );
    let log = project.scratch("reference.log");
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&folder);
    command::logged(&mut make, &log)?;
    command::logged(&mut pip(&python), &log)?;
    fs::write(&complete, "").with_context(|| format!("cannot write {}", complete.display()))?;
    Ok(python)
}

fn pip(python: &Path) -> Command {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--no-cache-dir"])
        .args(["--disable-pip-version-check", "--quiet"])
        .arg(format!("skypilot[kubernetes]=={VERSION}"));
    pip
}
