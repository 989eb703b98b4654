//! What Docker adds to a whole launch.

use anyhow::Result;

use super::Bench;
use super::lab::Lab;
use super::measurement::Target;

const WITH_DOCKER: &str = "bench-docker";
const PLAIN: &str = "bench-plain";

#[derive(Default)]
pub(super) struct DockerLaunch {
    with_docker: String,
    plain: String,
}

impl Bench for DockerLaunch {
    fn name(&self) -> &'static str {
        "docker_launch"
    }

    fn about(&self) -> &'static str {
        "`skiff launch` to an answer of the task's Docker, beside the same task without Docker"
    }

    fn target(&self) -> Target {
        Target::OverReference(1.5)
    }

    fn runs(&self) -> usize {
        5
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        lab.cluster_up()?;
        self.with_docker = lab.task(WITH_DOCKER, true, "docker version > /dev/null || exit 1")?;
        self.plain = lab.task(PLAIN, false, "true")?;
        self.value(lab)?;
        self.reference(lab).map(drop)
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        launch(lab, WITH_DOCKER, &self.with_docker)
    }

    fn reference(&mut self, lab: &mut Lab) -> Result<Option<f64>> {
        launch(lab, PLAIN, &self.plain).map(Some)
    }
}

fn launch(lab: &Lab, cluster: &str, task: &str) -> Result<f64> {
    let seconds = lab.time_skiff_to_marker(&["launch", "-y", "-c", cluster, task])?;
    lab.run_skiff(&["down", "-y", cluster])?;
    Ok(seconds)
}
