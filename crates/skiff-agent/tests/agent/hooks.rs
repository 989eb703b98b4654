//! Hooks: when they run, what they see, and what ends them.

use std::path::PathBuf;
use std::process::Command;

use skiff_proto::{
    Autostop, Ending, Hook, HookEvent, Hooks, JobRecord, JobStatus, Request, Response, WaitFor,
};

use crate::support::{Agent, job, shell};

fn hook(run: &str, events: &[HookEvent], timeout_s: u64) -> Hook {
    Hook {
        run: run.to_owned(),
        events: events.to_vec(),
        timeout_s,
    }
}

const ALL: [HookEvent; 3] = [HookEvent::Stop, HookEvent::Preemption, HookEvent::Down];

/// An agent with hooks, and where each event's log is.
fn with_hooks(hooks: Vec<Hook>) -> (Agent, impl Fn(&str) -> String) {
    let dir = tempfile::tempdir().expect("a folder");
    let keys = dir.path().join("skiff/keys");
    std::fs::create_dir_all(&keys).expect("a folder");
    let hooks = Hooks {
        hooks,
        env: [("OPEN".to_owned(), "yes".to_owned())].into(),
        secrets: [("HIDDEN".to_owned(), "too".to_owned())]
            .into_iter()
            .collect(),
    };
    let text = serde_json::to_vec(&hooks).expect("plain data");
    std::fs::write(keys.join("hooks.json"), text).expect("written");
    let agent = Agent::start_in(dir, |_| {});
    let logs: PathBuf = agent.home().join(".sky/hooks");
    let log = move |event: &str| {
        std::fs::read_to_string(logs.join(format!("{event}.log"))).unwrap_or_default()
    };
    (agent, log)
}

fn shut_down(agent: &Agent, ending: Ending) {
    let answer = agent.client().ask(Request::Shutdown { ending });
    assert_eq!(answer, Response::Done);
}

fn terminate(agent: &Agent) {
    let pid = agent.pid().to_string();
    let sent = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(sent.expect("kill runs").success());
}

#[test]
fn hooks_of_the_event_run_in_order_with_the_tasks_variables() {
    let tell = "echo \"$SKYPILOT_HOOK_EVENT $OPEN $HIDDEN $SKYPILOT_NODE_RANK ${PWD##*/}\"";
    let (mut agent, log) = with_hooks(vec![
        hook(tell, &ALL, 60),
        hook("echo never", &[HookEvent::Stop, HookEvent::Preemption], 60),
        hook("echo last; exit 3", &[HookEvent::Down], 60),
    ]);
    shut_down(&agent, Ending::Down);
    assert!(agent.wait().success(), "a hook that fails keeps nobody");
    let text = log("down");
    let expected = "(hook 1 begins)\ndown yes too 0 sky_workdir\n(hook 1 has ended)\n\
                    (hook 2 begins)\nlast\n(hook 2 failed with code 3)\n";
    assert_eq!(text, expected);
    assert_eq!(log("stop") + &log("preemption"), "");
}

#[test]
fn a_stop_and_the_systems_own_demand_run_their_own_hooks() {
    let (mut agent, log) = with_hooks(vec![hook("echo $SKYPILOT_HOOK_EVENT", &ALL, 60)]);
    shut_down(&agent, Ending::Stop);
    assert!(agent.wait().success());
    assert!(log("stop").contains("\nstop\n"), "{}", log("stop"));

    let (mut agent, log) = with_hooks(vec![hook("echo $SKYPILOT_HOOK_EVENT", &ALL, 60)]);
    drop(agent.client());
    terminate(&agent);
    assert!(agent.wait().success());
    assert!(
        log("preemption").contains("\npreemption\n"),
        "{}",
        log("preemption")
    );
    assert_eq!(log("down"), "");
}

#[test]
fn idleness_runs_the_hooks_of_what_becomes_of_the_cluster() {
    for (down, event) in [(true, "down"), (false, "stop")] {
        let (mut agent, log) = with_hooks(vec![hook("echo saved", &ALL, 60)]);
        let autostop = Some(Autostop {
            idle_ms: 50,
            down,
            wait_for: WaitFor::Jobs,
        });
        agent.client().ask(Request::SetAutostop {
            autostop,
            owner: None,
        });
        assert!(agent.wait().success());
        assert!(log(event).contains("saved"), "{event}: {}", log(event));
    }
}

#[test]
fn jobs_go_on_while_hooks_run_and_none_begins() {
    let (agent, log) = with_hooks(vec![hook(
        "until [ -e ../go ]; do sleep 0.02; done; pgrep -f 'sleep [1]077' >/dev/null && echo alive",
        &[HookEvent::Down],
        60,
    )]);
    let mut client = agent.client();
    let running = client.submit(job("touch ../runs; exec sleep 1077"));
    let waiting = client.submit(job("true"));
    let root = agent.root();
    shell(&format!("until [ -e {}/runs ]; do :; done", root.display()));
    let leaving = client.request(Request::Shutdown {
        ending: Ending::Down,
    });
    let refused = client.ask(Request::Submit { job: job("true") });
    assert!(matches!(refused, Response::Failed { .. }), "{refused:?}");
    std::fs::write(root.join("go"), "").expect("written");
    assert_eq!(client.answer(leaving), Response::Done);
    assert!(log("down").contains("\nalive\n"), "{}", log("down"));
    for id in [running.id, waiting.id] {
        let record = std::fs::read(root.join(format!("jobs/{id}/record.json")));
        let record: JobRecord =
            serde_json::from_slice(&record.expect("a record")).expect("a record");
        assert_eq!(record.status, JobStatus::Cancelled);
    }
}

#[test]
fn a_hook_is_killed_with_all_its_processes_when_its_time_is_over() {
    let (mut agent, log) = with_hooks(vec![
        hook(
            "trap '' TERM; setsid sleep 1078 & echo waits; sleep 1078",
            &[HookEvent::Down],
            1,
        ),
        hook("echo next", &[HookEvent::Down], 60),
    ]);
    shut_down(&agent, Ending::Down);
    assert!(agent.wait().success());
    let text = log("down");
    assert!(
        text.contains("waits\n(hook 1 was killed: its time was over)\n"),
        "{text}"
    );
    assert!(text.contains("next\n(hook 2 has ended)\n"), "{text}");
    assert_eq!(shell("pgrep -f 'sleep [1]078'"), "");
}

#[test]
fn a_container_that_is_told_to_stop_waits_for_no_hook_of_down() {
    let (mut agent, log) = with_hooks(vec![hook(
        "touch ../begun; sleep 1079",
        &[HookEvent::Down],
        3600,
    )]);
    let mut client = agent.client();
    client.request(Request::Shutdown {
        ending: Ending::Down,
    });
    shell(&format!(
        "until [ -e {}/begun ]; do :; done",
        agent.root().display()
    ));
    terminate(&agent);
    assert!(agent.wait().success());
    assert!(log("down").contains("was killed"), "{}", log("down"));
}

#[test]
fn hooks_run_once() {
    let (mut agent, log) = with_hooks(vec![hook("echo once", &ALL, 60)]);
    let event = HookEvent::Down;
    assert_eq!(
        agent.client().ask(Request::RunHooks { event }),
        Response::Done
    );
    shut_down(&agent, Ending::Down);
    assert!(agent.wait().success());
    assert_eq!(log("down").matches("once").count(), 1);
}

#[test]
fn hooks_that_cannot_be_read_keep_nobody() {
    let (mut agent, _) = with_hooks(Vec::new());
    std::fs::write(agent.root().join("keys/hooks.json"), "{").expect("written");
    shut_down(&agent, Ending::Down);
    assert!(agent.wait().success());
}
