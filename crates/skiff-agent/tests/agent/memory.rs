//! A job that needs more memory than the container has: the agent says so, with the limit.

use std::fs;
use std::path::{Path, PathBuf};

use skiff_proto::JobStatus;

use crate::support::{Agent, job};

const LIMIT: &str = "67108864";

/// A control group with a memory limit; it goes when the test ends.
struct Group(PathBuf);

impl Group {
    /// None where the test may not make one.
    fn new() -> Option<Self> {
        let trees = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ];
        trees.into_iter().find_map(|(tree, limit)| {
            let dir = Path::new(tree).join(format!("skiff-agent-test-{}", std::process::id()));
            fs::create_dir(&dir).ok()?;
            let group = Self(dir);
            fs::write(group.0.join(limit), LIMIT).ok()?;
            Some(group)
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // One that still has processes stays until the machine's next start.
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_job_that_was_killed_for_want_of_memory_says_so() {
    let Some(group) = Group::new() else { return };
    let agent = Agent::start_with(|command| {
        let program = command.get_program().to_owned();
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let mut inside = std::process::Command::new("/bin/sh");
        inside
            .args(["-c", "echo $$ > \"$0\"/cgroup.procs && exec \"$@\""])
            .arg(&group.0)
            .arg(program);
        inside.args(arguments);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        *command = inside;
    });
    let log = agent.client().run(job(
        // In steps: a process that has come and gone between two looks has not been seen by anybody.
        "y=$(head -c 2000000 /dev/zero | tr '\\0' y); while :; do x=$x$y; sleep 0.1; done",
    ));
    assert_eq!(log.job.status, JobStatus::Failed, "{}", log.text);
    let cause = log.job.cause.unwrap_or_default();
    for said in [
        "out of memory: the kernel killed bash (process ",
        " at the memory limit of 64 MiB; 64 MiB were used at most",
        "ask for more with `resources.memory`",
    ] {
        assert!(cause.contains(said), "{cause}");
    }
    drop(agent);
}
