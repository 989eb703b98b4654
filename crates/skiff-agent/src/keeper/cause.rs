//! Why a stage of a job failed, as far as the system knows more than its code.

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

    /// The cause of an end with this code other than 0, where the log `has_lost` some output or not.
    pub(super) fn cause(&self, code: i32, has_lost: bool) -> Option<String> {
        self.memory
            .as_ref()
            .and_then(Lookout::cause)
            .or_else(|| self.too_many_processes())
            .or_else(|| {
                let full = "the pod's disk was full while the job ran; free some of it, or ask for more with \
                            `resources.disk_size`";
                has_lost.then(|| full.to_owned())
            })
            .or_else(|| from_code(code).map(str::to_owned))
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

/// What a shell's code says by itself.
fn from_code(code: i32) -> Option<&'static str> {
    match code {
        126 => Some("the command is not executable"),
        127 => Some("the command was not found in the image"),
        137 => Some("a process was killed with SIGKILL"),
        _ => None,
    }
}
