//! A job of eight nodes on a cluster that is up: from the command to the first line of the last rank.

use anyhow::Result;

use super::Bench;
use super::lab::Lab;
use super::measurement::Target;

const CLUSTER: &str = "bench-gang";
/// Nodes of the job, and pods of its cluster.
const NODES: usize = 8;
/// Nodes of the Kubernetes that they run on.
const MACHINES: u32 = 2;

#[derive(Default)]
pub(super) struct GangStart {
    task: String,
}

impl Bench for GangStart {
    fn name(&self) -> &'static str {
        "gang_start"
    }

    fn about(&self) -> &'static str {
        "`skiff exec` of a job of 8 nodes, start to the first line of the last rank"
    }

    fn target(&self) -> Target {
        Target::AtMost(0.300)
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        lab.cluster_up_with(MACHINES)?;
        let task = lab.task("gang", false, "true")?;
        let nodes = NODES.to_string();
        let task = task.as_str();
        lab.run_skiff(&["launch", "-y", "-c", CLUSTER, "--num-nodes", &nodes, task])?;
        task.clone_into(&mut self.task);
        Ok(())
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        let nodes = NODES.to_string();
        let words = ["exec", CLUSTER, "--num-nodes", &nodes, &self.task];
        lab.time_skiff_to_markers(&words, NODES)
    }
}
