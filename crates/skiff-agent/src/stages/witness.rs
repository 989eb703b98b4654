//! Why a stage failed, as far as its node knows more than its code.

use crate::cgroup::PidsWatch;
use crate::memory_sampler::{Lookout, MemorySampler};

/// What is looked at when a stage begins, to be compared when it has failed.
#[derive(Debug)]
pub(super) struct Witness {
    memory: Option<Lookout>,
    pids: Option<PidsWatch>,
    /// The forks refused before.
    refusals: Option<u64>,
}

impl Witness {
    /// Looks at what there is to see now.
    pub(super) fn new(memory: Option<&MemorySampler>) -> Self {
        let pids = PidsWatch::find();
        Self {
            memory: memory.map(MemorySampler::look_out),
            refusals: pids.as_ref().and_then(PidsWatch::refusals),
            pids,
        }
    }

    /// The cause of an end with another code than 0.
    pub(super) fn cause(&self) -> Option<String> {
        self.memory
            .as_ref()
            .and_then(Lookout::cause)
            .or_else(|| self.too_many_processes())
    }

    fn too_many_processes(&self) -> Option<String> {
        let pids = self.pids.as_ref()?;
        let refused = pids.refusals()?.saturating_sub(self.refusals?);
        let now = pids.current().map_or_else(String::new, |now| {
            format!("; {now} processes and threads are there now")
        });
        (refused > 0).then(|| {
            format!(
                "the pod's limit of processes was reached: the kernel refused {refused} new ones{now}; start fewer \
                 at a time, or have the node's `podPidsLimit` raised"
            )
        })
    }
}
