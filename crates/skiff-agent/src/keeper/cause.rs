//! Why a stage of a job failed, as far as more is known than its code.

use skiff_proto::StageEnd;

/// The cause of a stage's end, where the job's log `has_lost` some output or not.
pub(super) fn of(end: &StageEnd, has_lost: bool) -> Option<String> {
    if end.code == 0 {
        return None;
    }
    let full = "the pod's disk was full while the job ran; free some of it, or ask for more with \
                `resources.disk_size`";
    end.cause
        .clone()
        .or_else(|| has_lost.then(|| full.to_owned()))
        .or_else(|| from_code(end.code).map(str::to_owned))
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
