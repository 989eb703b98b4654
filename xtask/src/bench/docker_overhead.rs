//! The memory of the wrapper around the daemon.

use anyhow::Result;

use super::Bench;
use super::lab::Lab;
use super::measurement::{Target, Unit};

const CLUSTER: &str = "bench-docker-idle";

#[derive(Default)]
pub(super) struct DockerOverhead {
    pod: String,
}

impl Bench for DockerOverhead {
    fn name(&self) -> &'static str {
        "docker_overhead"
    }

    fn about(&self) -> &'static str {
        "resident memory of the wrapper in the Docker sidecar, without the daemon, after a job"
    }

    fn unit(&self) -> Unit {
        Unit::Mebibytes
    }

    fn target(&self) -> Target {
        Target::AtMost(6.0)
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        lab.cluster_up()?;
        let task = lab.task_with(CLUSTER, "true", "docker version")?;
        lab.run_skiff(&["launch", "-y", "-c", CLUSTER, &task])?;
        self.pod = lab.pod(CLUSTER)?;
        Ok(())
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        lab.memory(&self.pod, "docker", "VmRSS:")
    }
}
