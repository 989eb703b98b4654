//! How long Docker takes to answer once the task's container has started, beside the same pod without it.

use anyhow::Result;

use super::Bench;
use super::builder_image;
use super::lab::Lab;
use super::measurement::Target;

/// Prints how long ago the container's first process was started.
const AGE_OF_CONTAINER: &str = "awk '{ sub(/.*[)] /, \"\"); split($0, field, \" \"); getline up < \"/proc/uptime\"; \
     printf \"measured-%d=%.2f\\n\", 42, up - field[20] / 100 }' /proc/1/stat";

/// One mode against none.
pub(super) struct DockerReady {
    name: &'static str,
    /// The value of `enable_docker`.
    mode: &'static str,
    /// What succeeds once the mode's daemon answers.
    question: &'static str,
    cluster: &'static str,
    with_docker: String,
    plain: String,
}

impl DockerReady {
    /// A daemon.
    pub(super) fn of_daemon() -> Self {
        Self {
            name: "docker_ready",
            mode: "ALL",
            question: "docker version > /dev/null || exit 1",
            cluster: "bench-docker-ready",
            with_docker: String::new(),
            plain: String::new(),
        }
    }

    /// A builder.
    pub(super) fn of_builder() -> Self {
        Self {
            name: "docker_ready_build",
            mode: "BUILD",
            question: "docker buildx du > /dev/null || exit 1",
            cluster: "bench-build-ready",
            with_docker: String::new(),
            plain: String::new(),
        }
    }
}

impl Bench for DockerReady {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        "start of the task's container to an answer of its Docker, beside the same task without Docker"
    }

    fn target(&self) -> Target {
        Target::OverReference(1.0)
    }

    fn runs(&self) -> usize {
        5
    }

    fn only_when_named(&self) -> bool {
        self.mode == "BUILD" && !builder_image::is_given()
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        lab.cluster_up()?;
        let docker = match self.mode {
            "BUILD" => format!("{{mode: BUILD, image: \"{}\"}}", builder_image::bring(lab)?),
            mode => mode.to_owned(),
        };
        let asked = format!("{}\n{AGE_OF_CONTAINER}", self.question);
        self.with_docker = lab.task_with(self.cluster, &docker, &asked)?;
        self.plain = lab.task_with("bench-plain", "false", AGE_OF_CONTAINER)?;
        self.value(lab)?;
        self.reference(lab).map(drop)
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        launch(lab, self.cluster, &self.with_docker)
    }

    fn reference(&mut self, lab: &mut Lab) -> Result<Option<f64>> {
        launch(lab, "bench-plain", &self.plain).map(Some)
    }
}

fn launch(lab: &Lab, cluster: &str, task: &str) -> Result<f64> {
    let seconds = lab.told(&["launch", "-y", "-c", cluster, task])?;
    lab.run_skiff(&["down", "-y", cluster])?;
    Ok(seconds)
}
