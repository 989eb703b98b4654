//! `~/sky_templates/ray`: a user's own Ray cluster, with a Ray that only notes how it was called.

use std::os::unix::fs::PermissionsExt;

use skiff_proto::{JobSpec, JobStatus};

use crate::support::{Agent, Log, job};

/// Notes its arguments, and leaves a process behind that looks like one of Ray's.
const RAY: &str = r#"#!/bin/sh
echo "$*" >> "$HOME/called"
case $1 in
--version) echo 'ray, version 2.9.3' ;;
start) sh -c 'while :; do sleep 1; done' raylet --gcs-address=127.0.0.1:$RAY_HEAD_PORT & ;;
list) echo '[{"state": "ALIVE"}, {"state": "DEAD"}, {"state": "ALIVE"}]' ;;
esac
"#;

fn agent_with_ray() -> Agent {
    let agent = Agent::start();
    let ray = agent.home().join("ray");
    std::fs::write(&ray, RAY).expect("written");
    std::fs::set_permissions(&ray, PermissionsExt::from_mode(0o755)).expect("made executable");
    agent
}

/// Runs the commands in a job with these variables in the place of Skiff's. All tests see the same processes, so each
/// has a port of its own.
fn run(agent: &Agent, env: &[(&str, &str)], commands: &str) -> Log {
    let mut spec = JobSpec {
        ..job(&format!("export PATH=$HOME:$PATH\n{commands}"))
    };
    spec.env = env
        .iter()
        .map(|(k, v)| ((*k).into(), (*v).into()))
        .collect();
    agent.client().run(spec)
}

fn called(agent: &Agent) -> String {
    std::fs::read_to_string(agent.home().join("called")).expect("it was called")
}

#[test]
fn the_head_starts_ray_waits_for_all_nodes_and_stop_ends_it() {
    let agent = agent_with_ray();
    let commands = "~/sky_templates/ray/start_cluster && ~/sky_templates/ray/start_cluster && \
                    ~/sky_templates/ray/stop_cluster && ~/sky_templates/ray/stop_cluster";
    let env = [
        ("RAY_HEAD_PORT", "7001"),
        ("SKYPILOT_NUM_NODES", "2"),
        ("SKYPILOT_NUM_GPUS_PER_NODE", "4"),
        ("RAY_DASHBOARD_HOST", "0.0.0.0"),
    ];
    let log = run(&agent, &env, commands);
    assert_eq!(log.job.status, JobStatus::Succeeded, "{}", log.text);
    let said = [
        "start_cluster: Ray is ready.",
        "start_cluster: Ray runs here already, on port 7001.",
        "stop_cluster: Ray on port 7001 has ended.",
        "stop_cluster: no Ray runs here on port 7001.",
    ];
    for line in said {
        assert!(log.text.contains(line), "{line}\n{}", log.text);
    }
    let called = called(&agent);
    assert!(
        called.contains(
            "start --head --port=7001 --dashboard-port=8265 --dashboard-host=0.0.0.0 \
             --include-dashboard=true --disable-usage-stats --num-gpus=4\n"
        ),
        "{called}"
    );
    assert_eq!(called.matches("start --head").count(), 1, "{called}");
}

#[test]
fn a_worker_joins_the_first_node_once_that_is_healthy() {
    let agent = agent_with_ray();
    let env = [
        ("RAY_HEAD_PORT", "7002"),
        ("SKYPILOT_NODE_RANK", "1"),
        ("SKYPILOT_NODE_IPS", "10.0.0.7\n10.0.0.8"),
        ("SKYPILOT_NUM_NODES", "2"),
    ];
    let commands = "~/sky_templates/ray/start_cluster && ~/sky_templates/ray/stop_cluster";
    let log = run(&agent, &env, commands);
    assert_eq!(log.job.status, JobStatus::Succeeded, "{}", log.text);
    let called = called(&agent);
    let (asked, started) = called.split_once("start ").expect("started");
    assert!(
        asked.contains("health-check --address=10.0.0.7:7002"),
        "{called}"
    );
    assert_eq!(started, "--address=10.0.0.7:7002 --disable-usage-stats\n");
}

#[test]
fn without_ray_the_script_says_what_to_do() {
    let agent = Agent::start();
    let env = [("RAY_CMD", "nosuch ray")];
    let log = run(&agent, &env, "~/sky_templates/ray/start_cluster");
    assert_eq!(log.job.exit_code, Some(1), "{}", log.text);
    assert!(
        log.text
            .contains("`nosuch ray` does not run here. Install Ray in the task's setup"),
        "{}",
        log.text
    );
}
