//! The agent's end for want of work.

use std::time::{Duration, Instant};

use skiff_proto::{Autostop, JobStatus, Request, Response, WaitFor};

use crate::support::{Agent, Client, job, shell};

fn set(client: &mut Client, idle_ms: u64, wait_for: WaitFor) {
    let autostop = Some(Autostop {
        idle_ms,
        down: true,
        wait_for,
    });
    let answer = client.ask(Request::SetAutostop {
        autostop,
        owner: None,
    });
    assert_eq!(answer, Response::Done);
}

#[test]
fn an_idle_agent_ends_with_success() {
    let mut agent = Agent::start();
    set(&mut agent.client(), 100, WaitFor::JobsAndSsh);
    assert!(agent.wait().success());
}

#[test]
fn a_job_keeps_the_agent_until_its_end_and_its_time_counts_from_there() {
    let mut agent = Agent::start();
    let mut client = agent.client();
    let go = agent.home().join("go");
    let (running, waiting) = (
        client.submit(job(&format!(
            "until [ -e {} ]; do sleep 0.02; done",
            go.display()
        ))),
        client.submit(job("true")),
    );
    set(&mut client, 300, WaitFor::Jobs);
    // It would go in this time, were it not for the job.
    shell("sleep 0.6");
    std::fs::write(&go, "").expect("written");
    assert_eq!(client.follow(running.id).job.status, JobStatus::Succeeded);
    assert_eq!(client.follow(waiting.id).job.status, JobStatus::Succeeded);
    let ended = Instant::now();
    assert!(agent.wait().success());
    assert!(
        ended.elapsed() >= Duration::from_millis(250),
        "{:?}",
        ended.elapsed()
    );
}

#[test]
fn a_limit_ends_jobs_too() {
    let mut agent = Agent::start();
    let mut client = agent.client();
    let running = client.submit(job("sleep 1000"));
    set(&mut client, 100, WaitFor::None);
    let log = client.follow(running.id);
    assert_eq!(log.job.status, JobStatus::Cancelled);
    assert!(
        log.text.contains("Cause: autostop ended the cluster"),
        "{}",
        log.text
    );
    assert!(agent.wait().success());
}

#[test]
fn a_cancelled_autostop_ends_nothing() {
    let mut agent = Agent::start();
    let mut client = agent.client();
    set(&mut client, 300, WaitFor::Jobs);
    let answer = client.ask(Request::SetAutostop {
        autostop: None,
        owner: None,
    });
    assert_eq!(answer, Response::Done);
    // A job that takes longer than the agent would have stayed.
    assert_eq!(
        client.run(job("sleep 0.6")).job.status,
        JobStatus::Succeeded
    );
    shell("sleep 0.6");
    assert_eq!(client.queue().len(), 1);
    assert_eq!(
        client.ask(Request::Shutdown {
            ending: skiff_proto::Ending::Down
        }),
        Response::Done
    );
    assert!(agent.wait().success());
}

#[test]
fn the_policy_survives_the_container() {
    let agent = Agent::start();
    let mut client = agent.client();
    set(&mut client, 2000, WaitFor::Jobs);
    drop(client);
    let mut agent = Agent::start_in(agent.kill(), |_| {});
    assert!(agent.wait().success());
}

#[test]
fn a_policy_that_cannot_be_kept_is_refused() {
    let agent = Agent::start();
    let mut client = agent.client();
    std::fs::create_dir(agent.root().join("autostop.json")).expect("a folder in its place");
    let autostop = Some(Autostop::after_minutes(1, true, WaitFor::Jobs));
    let answer = client.ask(Request::SetAutostop {
        autostop,
        owner: None,
    });
    assert!(matches!(answer, Response::Failed { .. }), "{answer:?}");
}
