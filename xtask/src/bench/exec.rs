//! A command on a cluster that is up.

use anyhow::Result;

use super::Bench;
use super::lab::Lab;
use super::measurement::Target;

const CLUSTER: &str = "bench-idle";

#[derive(Default)]
pub(super) struct Exec {
    pod: String,
}

impl Bench for Exec {
    fn name(&self) -> &'static str {
        "exec"
    }

    fn about(&self) -> &'static str {
        "`skiff exec X true` beside `kubectl exec POD -- true`"
    }

    fn target(&self) -> Target {
        Target::TimesReference(1.0)
    }

    fn runs(&self) -> usize {
        15
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        self.pod = lab.idle_pod(CLUSTER)?;
        Ok(())
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        lab.time_skiff(&["exec", CLUSTER, "true"])
    }

    fn reference(&mut self, lab: &mut Lab) -> Result<Option<f64>> {
        lab.time_kubectl(&["exec", &self.pod, "-c", "task", "--", "true"])
            .map(Some)
    }
}
