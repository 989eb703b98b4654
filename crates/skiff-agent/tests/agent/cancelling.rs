//! Ending jobs: by users, by the cluster's end, by the container's.

use skiff_proto::{Ending, FaultKind, JobStatus, Request, Response};

use crate::support::{Agent, job, shell};

#[test]
fn a_running_job_ends_with_its_children_and_a_queued_one_at_once() {
    let agent = Agent::start();
    let mut client = agent.client();
    let pids = agent.home().join("pids");
    let run = format!(
        "setsid sleep 1000 & sleep 1000 & echo $! $$ > {}; wait",
        pids.display()
    );
    let running = client.submit(job(&run)).id;
    let queued = client.submit(job("echo never")).id;
    shell(&format!("until [ -s {} ]; do :; done", pids.display()));
    let jobs = client.cancel(vec![running, queued]);
    assert_eq!(
        jobs.iter().map(|job| job.status).collect::<Vec<_>>(),
        [JobStatus::Cancelled; 2]
    );
    assert!(
        client
            .follow(running)
            .text
            .ends_with("Job finished (status: CANCELLED).\n")
    );
    let left = shell("cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'");
    let mark = format!("SKIFF_JOB={}/{running}", client.hello.boot);
    assert!(!left.contains(&mark), "a process of the job is left");
}

#[test]
fn a_script_does_not_go_on_after_it_was_told_to_end() {
    let agent = Agent::start();
    let mut client = agent.client();
    let ready = agent.home().join("ready");
    // Ready is said by the command itself: a signal that meets bash between fork and exec is lost,
    // and the command then lives until the grace is over.
    let id = client
        .submit(job(&format!(
            "sh -c 'touch {}; exec sleep 1000'; echo went on",
            ready.display()
        )))
        .id;
    shell(&format!("until [ -e {} ]; do :; done", ready.display()));
    client.cancel(vec![id]);
    let log = client.follow(id);
    assert!(!log.text.contains("went on"), "{}", log.text);
    assert_eq!(log.job.exit_code, Some(143));
}

#[test]
fn a_job_may_clean_up_when_it_is_cancelled() {
    let agent = Agent::start();
    let mut client = agent.client();
    let ready = agent.home().join("ready");
    let run = format!(
        "trap 'echo cleaned; exit 5' TERM; touch {}; while :; do sleep 0.1; done",
        ready.display()
    );
    let id = client.submit(job(&run)).id;
    shell(&format!("until [ -e {} ]; do :; done", ready.display()));
    client.cancel(Vec::new());
    let log = client.follow(id);
    assert!(log.text.contains(") cleaned\n"), "{}", log.text);
    assert_eq!(
        (log.job.status, log.job.exit_code),
        (JobStatus::Cancelled, Some(5))
    );
}

#[test]
fn a_stubborn_job_is_killed_after_its_grace() {
    let agent = Agent::start();
    let mut client = agent.client();
    let ready = agent.home().join("ready");
    let run = format!(
        "trap '' TERM; touch {}; while :; do sleep 1; done",
        ready.display()
    );
    let id = client.submit(job(&run)).id;
    shell(&format!("until [ -e {} ]; do :; done", ready.display()));
    let before = std::time::Instant::now();
    let jobs = client.cancel(vec![id]);
    assert_eq!(
        (jobs[0].status, jobs[0].exit_code),
        (JobStatus::Cancelled, Some(137))
    );
    assert!(before.elapsed().as_secs() >= 9, "{:?}", before.elapsed());
}

#[test]
fn a_number_that_no_job_has_cancels_nothing() {
    let agent = Agent::start();
    let mut client = agent.client();
    let id = client.submit(job("sleep 1000")).id;
    let Response::Failed { fault } = client.ask(Request::Cancel { jobs: vec![id, 9] }) else {
        panic!("it was taken")
    };
    assert_eq!(
        (fault.kind, fault.message.as_str()),
        (FaultKind::NotFound, "there is no job 9")
    );
    assert_eq!(client.queue()[0].status, JobStatus::Running);
}

#[test]
fn shutdown_ends_jobs_leaves_the_marker_and_exits_with_0() {
    let mut agent = Agent::start();
    let mut client = agent.client();
    client.submit(job("sleep 1000"));
    client.submit(job("echo never"));
    assert_eq!(
        client.ask(Request::Shutdown {
            ending: Ending::Down
        }),
        Response::Done
    );
    drop(client);
    assert_eq!(agent.wait().code(), Some(0));
    assert!(agent.root().join("run/leave").exists());
    let record =
        std::fs::read_to_string(agent.root().join("jobs/1/record.json")).expect("a record");
    assert!(record.contains("CANCELLED"), "{record}");
}

#[test]
fn a_follower_sees_the_end_when_the_container_is_told_to_stop() {
    let mut agent = Agent::start();
    let mut client = agent.client();
    let ready = agent.home().join("ready");
    let id = client
        .submit(job(&format!("touch {}; sleep 1000", ready.display())))
        .id;
    shell(&format!("until [ -e {} ]; do :; done", ready.display()));
    let pid =
        rustix::process::Pid::from_raw(i32::try_from(agent.pid()).expect("a pid")).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("told");
    let log = client.follow(id);
    assert_eq!(log.job.status, JobStatus::Failed);
    assert!(
        log.text
            .contains("Cause: the task container was told to stop."),
        "{}",
        log.text
    );
    drop(client);
    assert_eq!(agent.wait().code(), Some(0));
}
