//! Jobs: shells, variables, codes, the queue, cancelling.

use skiff_proto::{FaultKind, JobSpec, JobStatus, LogSource, Request, Response};

use crate::support::{Agent, job};

#[test]
fn a_job_runs_and_its_log_reads_as_users_know_it() {
    let agent = Agent::start();
    let log = agent.client().run(JobSpec {
        name: Some("train".into()),
        ..job("echo hello; echo err >&2")
    });
    let lines: Vec<&str> = log.text.lines().collect();
    assert_eq!(lines[0], "Waiting for task resources on 1 node.");
    assert_eq!(
        lines[1],
        "Job started. Streaming logs... (Ctrl-C to exit log streaming; job will not be killed)"
    );
    assert!(
        lines[2].starts_with("(train, pid=") && lines[2].ends_with(") hello"),
        "{}",
        lines[2]
    );
    assert!(lines[3].ends_with(") err"), "{}", lines[3]);
    assert_eq!(lines[4..], ["Job finished (status: SUCCEEDED)."]);
    assert_eq!(
        (log.job.status, log.job.exit_code),
        (JobStatus::Succeeded, Some(0))
    );
    assert_eq!(log.job.log_dir, "~/sky_logs/1-train");
    let raw = agent.home().join("sky_logs/1-train/tasks/run.log");
    assert_eq!(
        std::fs::read_to_string(raw).expect("a raw log"),
        "hello\nerr\n"
    );
}
