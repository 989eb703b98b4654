//! The local cluster from nothing to a ready node, programs and images there.

use anyhow::Result;

use super::Bench;
use super::lab::Lab;
use super::measurement::Target;

pub(super) struct LocalUp;

impl Bench for LocalUp {
    fn name(&self) -> &'static str {
        "local_up"
    }

    fn about(&self) -> &'static str {
        "`skiff local up` to a ready node"
    }

    fn target(&self) -> Target {
        Target::AtMost(10.0)
    }

    fn runs(&self) -> usize {
        5
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        // The first start imports the images into the node's store, which stays.
        lab.cluster_up().map(drop)
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        lab.cluster_down()?;
        Ok(lab.cluster_up()?.as_secs_f64())
    }
}
