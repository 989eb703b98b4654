//! A new cluster with one small command, agent and image already on the cluster.

use anyhow::Result;

use super::Bench;
use super::lab::Lab;
use super::measurement::Target;

const CLUSTER: &str = "bench-launch";

#[derive(Default)]
pub(super) struct Launch {
    task: String,
    references: usize,
}

impl Bench for Launch {
    fn name(&self) -> &'static str {
        "launch"
    }

    fn about(&self) -> &'static str {
        "`skiff launch` of an echo to its line, beside `kubectl run --rm -i` of an echo"
    }

    fn target(&self) -> Target {
        Target::TimesReference(1.5)
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        lab.cluster_up()?;
        self.task = lab.task(CLUSTER, false, "true")?;
        // The first launch brings the agent's Secrets, which later ones find.
        self.value(lab)?;
        self.reference(lab).map(drop)
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        let seconds = lab.time_skiff_to_marker(&["launch", "-y", "-c", CLUSTER, &self.task])?;
        lab.run_skiff(&["down", "-y", CLUSTER])?;
        Ok(seconds)
    }

    fn reference(&mut self, lab: &mut Lab) -> Result<Option<f64>> {
        self.references += 1;
        let pod = format!("bench-run-{}", self.references);
        let image = format!("--image={}", Lab::image());
        let words = [
            "run",
            &pod,
            "--rm",
            "-i",
            "--restart=Never",
            &image,
            "--quiet",
        ];
        let rest = ["--image-pull-policy=IfNotPresent", "--", "echo", "hi"];
        lab.time_kubectl(&[&words[..], &rest].concat()).map(Some)
    }
}
