//! The list of clusters, one of them there.

use anyhow::Result;

use super::Bench;
use super::lab::Lab;
use super::measurement::Target;

pub(super) struct Status;

impl Bench for Status {
    fn name(&self) -> &'static str {
        "status"
    }

    fn about(&self) -> &'static str {
        "`skiff status` beside `kubectl get pods`"
    }

    fn target(&self) -> Target {
        Target::TimesReference(1.0)
    }

    fn runs(&self) -> usize {
        15
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        lab.idle_pod("bench-idle").map(drop)
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        lab.time_skiff(&["status"])
    }

    fn reference(&mut self, lab: &mut Lab) -> Result<Option<f64>> {
        lab.time_kubectl(&["get", "pods"]).map(Some)
    }
}
