//! A nested container that takes more than the sidecar's limit: it is killed inside of it, and nothing else is.

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::build_context::BuildContext;
use super::lab::Lab;
use super::measurement::{Target, Unit};
use crate::command;

const CLUSTER: &str = "bench-limit";
const NEIGHBOUR: &str = "bench-idle";
const LIMIT: &str = "{mode: ALL, resources: {limits: {memory: 256Mi}}}";
/// Takes 1 GiB.
const EATER: &str = "docker run --rm eater dd if=/dev/zero of=/dev/null bs=1073741824 count=1";
/// The most that the sidecar's group of processes has had, in bytes, with cgroups of either version.
const PEAK: &str = "cat /sys/fs/cgroup/memory.peak 2> /dev/null || \
     cat /sys/fs/cgroup/memory/memory.max_usage_in_bytes";

#[derive(Default)]
pub(super) struct DockerLimit {
    pod: String,
    neighbour: String,
}

impl Bench for DockerLimit {
    fn name(&self) -> &'static str {
        "docker_limit"
    }

    fn about(&self) -> &'static str {
        "the most memory of a sidecar with a limit of 256 MiB while a nested container takes 1 GiB and is killed"
    }

    fn unit(&self) -> Unit {
        Unit::Mebibytes
    }

    fn target(&self) -> Target {
        // The kernel counts a page before it refuses it.
        Target::AtMost(256.1)
    }

    fn runs(&self) -> usize {
        3
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        self.neighbour = lab.idle_pod(NEIGHBOUR)?;
        let context = BuildContext::write(lab, "eater", &self.neighbour, "touch /data")?;
        let folder = context.path().to_string_lossy().into_owned();
        let task = lab.task_with(CLUSTER, LIMIT, "docker build --quiet --tag eater .")?;
        lab.run_skiff(&["launch", "-y", "-c", CLUSTER, "--workdir", &folder, &task])?;
        self.pod = lab.pod(CLUSTER)?;
        Ok(())
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        let before = restarts(lab)?;
        let eaten = lab.said(&["exec", CLUSTER, EATER])?;
        ensure!(!eaten.succeeded, "the container was not killed");
        ensure!(
            eaten.text.contains("out of memory") && eaten.text.contains("256 MiB"),
            "the cause was not told:\n{}",
            eaten.text
        );
        ensure!(
            restarts(lab)? == before,
            "a container of the node was started again"
        );
        lab.run_skiff(&["exec", NEIGHBOUR, "true"])?;
        lab.run_skiff(&["exec", CLUSTER, "docker run --rm eater true"])?;
        let words = ["exec", &self.pod, "-c", "docker", "--", "sh", "-c", PEAK];
        let peak = command::captured(&mut lab.kubectl(&words))?;
        let peak: f64 = peak.parse().with_context(|| format!("no number: {peak}"))?;
        Ok(peak / f64::from(1 << 20))
    }
}

/// How often containers of all pods were started again.
fn restarts(lab: &Lab) -> Result<String> {
    const COUNTS: &str = "jsonpath={range .items[*]}{.metadata.name}{.status.containerStatuses[*].restartCount}{end}";
    command::captured(&mut lab.kubectl(&["get", "pods", "-A", "-o", COUNTS]))
}
