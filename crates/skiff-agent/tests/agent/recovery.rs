//! The agent's restart: what it remembers, and what it says of jobs that were cut off.

use skiff_proto::{JobSpec, JobStatus, LogSource};

use crate::support::{Agent, job, shell};

#[test]
fn jobs_that_were_cut_off_have_failed_and_say_why() {
    let agent = Agent::start();
    let mut client = agent.client();
    let done = client.run(job("echo one")).job;
    let ready = agent.home().join("ready");
    let running = client.submit(job(&format!(
        "printf half; touch {}; sleep 1000",
        ready.display()
    )));
    let queued = client.submit(job("echo never"));
    shell(&format!("until [ -e {} ]; do :; done", ready.display()));
    drop(client);

    let agent = Agent::start_in(agent.kill(), |_| {});
    let mut client = agent.client();
    let jobs = client.queue();
    assert_eq!(jobs[0], done);
    assert_eq!(
        jobs[1..].iter().map(|job| job.status).collect::<Vec<_>>(),
        [JobStatus::Failed; 2]
    );
    let cause = |at: usize| jobs[at].cause.clone().expect("a cause");
    assert!(
        cause(1).starts_with("the task container was restarted while it ran ("),
        "{}",
        cause(1)
    );
    assert!(
        cause(2).starts_with("the task container was restarted before it began ("),
        "{}",
        cause(2)
    );
    let log = client
        .log(LogSource::Id(running.id), 0, None, true)
        .expect("the log is there");
    assert!(log.text.contains(") half\n"), "{}", log.text);
    assert!(
        log.text.ends_with("Job finished (status: FAILED).\n"),
        "{}",
        log.text
    );
    // A submission whose answer was lost with the agent is not run again.
    assert_eq!(client.queue().len(), 3);
    assert_eq!(client.run(job("echo two")).job.id, queued.id + 1);
}

#[test]
fn setup_runs_again_after_a_restart() {
    let agent = Agent::start();
    let spec = JobSpec {
        setup: Some("echo prepared".into()),
        ..job("true")
    };
    agent.client().run(spec);
    let agent = Agent::start_in(agent.kill(), |_| {});
    let mut client = agent.client();
    for times in [1, 0] {
        let log = client.run(job("echo ran"));
        assert!(log.text.contains(") ran\n"), "{}", log.text);
        assert_eq!(
            log.text.matches(") prepared\n").count(),
            times,
            "{}",
            log.text
        );
    }
}

#[test]
fn what_dies_with_the_agent_is_told_to_jobs_that_had_secrets() {
    let agent = Agent::start();
    let mut client = agent.client();
    let secret = || {
        [("TOKEN".to_owned(), "hunter2".to_owned())]
            .into_iter()
            .collect()
    };
    client.run(JobSpec {
        setup: Some("echo prepared".into()),
        secrets: secret(),
        ..job("true")
    });
    let running = client.submit(job("sleep 1000"));
    client.submit(JobSpec {
        secrets: secret(),
        ..job("true")
    });
    drop(client);

    let agent = Agent::start_in(agent.kill(), |_| {});
    let mut client = agent.client();
    let jobs = client.queue();
    let cause = |at: usize| jobs[at].cause.clone().expect("a cause");
    assert_eq!(jobs[1].id, running.id);
    assert!(!cause(1).contains("secrets"), "{}", cause(1));
    assert!(
        cause(2).ends_with("its secrets were in the agent's memory alone: submit it again"),
        "{}",
        cause(2)
    );
    let log = client.run(job("true"));
    let told =
        "had secrets that were in the agent's memory alone: TOKEN. If it needs them, launch again.";
    assert!(log.text.contains(told), "{}", log.text);
}

#[test]
fn a_record_that_was_never_whole_is_no_job() {
    let agent = Agent::start();
    agent.client().run(job("echo one"));
    let broken = agent.root().join("jobs/2");
    std::fs::create_dir(&broken).expect("a folder");
    std::fs::write(broken.join("record.json.tmp"), "{\"id\":2").expect("written");
    let agent = Agent::start_in(agent.kill(), |_| {});
    let mut client = agent.client();
    assert_eq!(client.queue().len(), 1);
    assert_eq!(client.run(job("echo two")).job.status, JobStatus::Succeeded);
}

#[test]
fn a_stale_marker_does_not_send_the_sidecars_away() {
    let agent = Agent::start();
    agent.client();
    std::fs::write(agent.root().join("run/leave"), "").expect("written");
    let agent = Agent::start_in(agent.kill(), |_| {});
    agent.client();
    assert!(!agent.root().join("run/leave").exists());
}
