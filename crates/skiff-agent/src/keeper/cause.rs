//! Why a stage of a job failed, as far as the system knows more than its code.

use crate::cgroup::MemoryWatch;

/// What is looked at when a stage begins, to be compared when it has failed.
#[derive(Debug)]
pub(super) struct Witness {
    memory: Option<MemoryWatch>,
    kills: Option<u64>,
}

impl Witness {
    /// Looks at what there is to see now.
    pub(super) fn new(memory: Option<&MemoryWatch>) -> Self {
        Self {
            memory: memory.cloned(),
            kills: memory.and_then(MemoryWatch::kills),
        }
    }

    /// The cause of an end with this code other than 0, where the log `has_lost` some output or not.
    pub(super) fn cause(&self, code: i32, has_lost: bool) -> Option<String> {
        if let Some(memory) = self
            .memory
            .as_ref()
            .filter(|memory| memory.kills() > self.kills)
        {
            let limit = memory.at_limit();
            return Some(format!(
                "out of memory: the kernel killed a process of the container{limit}"
            ));
        }
        if has_lost {
            return Some("the pod's disk was full while the job ran".to_owned());
        }
        match code {
            126 => Some("the command is not executable".to_owned()),
            127 => Some("the command was not found in the image".to_owned()),
            137 => Some("a process was killed with SIGKILL".to_owned()),
            _ => None,
        }
    }
}
