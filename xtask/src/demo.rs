//! `cargo xtask demo`: from nothing to `docker build` inside a pod of a real Kubernetes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::local_cluster::{LocalCluster, Skiff};
use crate::parallel::{self, timed};
use crate::project::Project;
use crate::{build, command, images, kubernetes, report, setup};

/// The local cluster's name, and that of the cluster of pods that Skiff launches on it.
const NAME: &str = "demo";
/// The task, from the repository's root.
const TASK: &str = "examples/docker_build.yaml";

/// Builds what is missing, then shows the whole way once and cleans up after itself.
pub(crate) fn run(project: &Project) -> Result<()> {
    let started = Instant::now();
    let mut times = vec![("packages", timed(|| setup::run(project))?)];
    times.extend(prepare(project)?);
    let skiff = Skiff::of_the_user(project.target.join("release/skiff"));
    times.extend(show(project, &skiff)?);

    report::line("");
    for (name, took) in &times {
        report::line(format!("{name:<14} {:>10}", report::human(*took)));
    }
    report::line(format!(
        "{:<14} {:>10}",
        "in all",
        report::human(started.elapsed())
    ));
    Ok(())
}

/// Makes the three things that are slow once, at the same time: each has phases that leave a
/// processor free.
fn prepare(project: &Project) -> Result<Vec<(&'static str, Duration)>> {
    parallel::run(vec![
        ("kubernetes", Box::new(|| kubernetes::ensure(project))),
        ("images", Box::new(|| images::ensure(project))),
        ("build", Box::new(|| build::release(project).map(drop))),
    ])
}

fn show(project: &Project, skiff: &Skiff) -> Result<Vec<(&'static str, Duration)>> {
    let mut times = Vec::new();
    let started = Instant::now();
    // The demo pulls nothing, so the machine's routing and firewall can stay as they are.
    let cluster = LocalCluster::up(skiff, NAME, &["--no-egress"])
        .context("the local cluster did not start")?;
    times.push(("local up", started.elapsed()));
    for (step, words) in [
        ("launch", &["launch", "-y", "-c", NAME, TASK][..]),
        ("status", &["status"]),
        ("down", &["down", "-y", NAME]),
    ] {
        report::line(format!("\n$ skiff {}", words.join(" ")));
        let mut command = skiff.command(words);
        times.push((
            step,
            timed(|| command::shown(command.current_dir(&project.root)))?,
        ));
    }
    report::line("");
    times.push(("local down", timed(|| cluster.down())?));
    Ok(times)
}
