//! The whole test run with warm caches.

use anyhow::Result;

use super::Bench;
use super::lab::Lab;
use super::measurement::Target;
use crate::parallel::timed;
use crate::test;

pub(super) struct TestTime;

impl Bench for TestTime {
    fn name(&self) -> &'static str {
        "test_time"
    }

    fn about(&self) -> &'static str {
        "`make test`, caches warm"
    }

    fn target(&self) -> Target {
        Target::AtMost(900.0)
    }

    fn runs(&self) -> usize {
        1
    }

    fn only_when_named(&self) -> bool {
        true
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        lab.cluster_down()
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        Ok(timed(|| test::run(lab.project()))?.as_secs_f64())
    }
}
