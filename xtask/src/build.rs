//! `cargo xtask build`: the static agent, then the `skiff` executable that carries it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use crate::command;
use crate::project::Project;
use crate::report;

/// The architecture whose agent is built; the name is Kubernetes' own.
const ARCHITECTURE: &str = "amd64";
/// Naming the target keeps the static flags away from build scripts and procedural macros.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Static, and without what a linker can leave out: relocations in their short form, functions that are
/// the same as others, tables for unwinding, which a panic that aborts does not read.
const AGENT_FLAGS: &str = "-C target-feature=+crt-static -C force-unwind-tables=no \
    -C link-arg=-Wl,-z,pack-relative-relocs,--icf=all,--no-eh-frame-hdr";

#[derive(Args)]
pub(crate) struct BuildArgs {
    /// Cargo's profile for the `skiff` executable; the agent always has its own.
    #[arg(long, default_value = "release")]
    profile: String,
}

/// Builds both and says how large they are.
pub(crate) fn run(project: &Project, args: &BuildArgs) -> Result<PathBuf> {
    let agent = agent(project)?;
    let mut build = project.cargo();
    build
        .args([
            "build",
            "--package",
            "skiff-cli",
            "--features",
            "embedded-agent",
        ])
        .args(["--profile", &args.profile])
        .env("SKIFF_AGENT_AMD64", &agent);
    report::step(
        "build",
        format!("compiling skiff, profile {}", args.profile),
    );
    command::shown(&mut build)?;
    let skiff = project
        .target
        .join(profile_folder(&args.profile))
        .join("skiff");
    report::step("build", format!("{}, {}", skiff.display(), size(&skiff)?));
    Ok(skiff)
}

/// Builds `skiff` with the agent in it, for use.
pub(crate) fn release(project: &Project) -> Result<PathBuf> {
    run(
        project,
        &BuildArgs {
            profile: "release".to_owned(),
        },
    )
}

/// Builds an unoptimised `skiff` with the agent beside it in a folder of their own: tests can be
/// built at the same time without replacing it.
pub(crate) fn for_tests(project: &Project) -> Result<PathBuf> {
    let agent = agent(project)?;
    report::step("build", "compiling skiff for the tests");
    let mut build = project.cargo();
    command::shown(build.args(["build", "--package", "skiff-cli"]))?;
    let folder = project.target.join("xtask-test");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    replace(&project.target.join("debug/skiff"), &folder.join("skiff"))?;
    replace(&agent, &folder.join(format!("skiff-agent-{ARCHITECTURE}")))?;
    Ok(folder.join("skiff"))
}

/// Builds the agent: static, so that it runs in every image.
pub(crate) fn agent(project: &Project) -> Result<PathBuf> {
    report::step("build", "compiling the agent");
    let mut build = project.cargo();
    build
        .args([
            "build",
            "--package",
            "skiff-agent",
            "--profile",
            "agent",
            "--target",
            TARGET,
        ])
        .env("RUSTFLAGS", AGENT_FLAGS);
    command::shown(&mut build)?;
    let agent = project.target.join(TARGET).join("agent/skiff-agent");
    report::step("build", format!("{}, {}", agent.display(), size(&agent)?));
    Ok(agent)
}

/// Cargo's folder for a profile's output.
fn profile_folder(profile: &str) -> &str {
    match profile {
        "dev" | "test" => "debug",
        "bench" => "release",
        other => other,
    }
}

fn size(file: &Path) -> Result<String> {
    let data = fs::metadata(file).with_context(|| format!("{} was not built", file.display()))?;
    Ok(report::size(data.len()))
}

/// Copies beside the old file and renames, so that a running copy is no obstacle.
fn replace(from: &Path, to: &Path) -> Result<()> {
    let new = to.with_extension("new");
    let copying = || format!("cannot copy {} to {}", from.display(), to.display());
    fs::copy(from, &new).with_context(copying)?;
    fs::rename(&new, to).with_context(copying)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_calls_the_output_of_the_dev_profile_debug() {
        assert_eq!(profile_folder("dev"), "debug");
        assert_eq!(profile_folder("release"), "release");
    }
}
