//! Clusters of several nodes that lose one: cut off, killed, deleted, or of another version.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use serde_json::Value;
use skiff_proto::PROTOCOL_VERSION;
use skiff_test::Namespace;
use skiff_test::host::{self, CutOff};
use skiff_test::namespace::{small, with_namespace};
use skiff_test::program::{Finished, Running};

/// How soon a lost node has to be known.
const KNOWN: Duration = Duration::from_secs(10);
/// A job that runs on all nodes until somebody ends it.
const ENDLESS: &str = "echo begun; sleep 100000";
/// Prints how many processes of such jobs there are on a node.
const COUNT: &str = "left=$(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -c '^10000[0]$'); \
                     echo again left=$left";

/// A cluster of so many nodes and a job that runs on all of them.
async fn begin(namespace: &Namespace, nodes: u32) -> Running {
    let count = nodes.to_string();
    let words = small("c", &["--num-nodes", &count, ENDLESS]);
    begun(namespace.skiff().start(&words), nodes).await
}

/// One more job on all nodes of that cluster.
async fn begin_again(namespace: &Namespace, nodes: u32) -> Running {
    let count = nodes.to_string();
    let words = ["exec", "c", "--num-nodes", &count, ENDLESS];
    begun(namespace.skiff().start(&words), nodes).await
}

async fn begun(mut running: Running, nodes: u32) -> Running {
    for rank in 0..nodes {
        running.stdout_has(&format!("rank={rank}, ")).await;
    }
    running
}

/// Runs a job on all nodes, and makes sure that nothing is left of earlier ones on any.
async fn all_are_back(namespace: &Namespace, nodes: u32) {
    let count = nodes.to_string();
    let words = ["exec", "c", "--num-nodes", &count, COUNT];
    clean_everywhere(&namespace.skiff().run(&words).await.code(0), nodes);
}

fn clean_everywhere(finished: &Finished, nodes: u32) {
    let lines = finished.stdout.lines();
    let clean = lines.filter(|line| line.ends_with(") again left=0"));
    assert_eq!(u32::try_from(clean.count()), Ok(nodes), "{finished}");
}

async fn queue(namespace: &Namespace) -> Vec<Value> {
    let program = namespace.skiff();
    let queue = program.run(&["queue", "c", "-o", "json"]).await.code(0);
    let jobs = queue.json()["c"].as_array().cloned();
    jobs.expect("a list of jobs")
}

#[tokio::test]
async fn a_node_that_is_cut_off_fails_its_job_in_time_and_joins_again_when_it_is_back() {
    with_namespace(async |namespace| {
        let running = begin(namespace, 3).await;
        let cut = CutOff::new(&namespace.node("c", "worker1").await).expect("tests run as root");
        let since = Instant::now();
        let finished = running.end().await.code(100);
        let known = since.elapsed();
        assert!(known < KNOWN, "known after {known:?}\n{finished}");
        finished
            .says("failed with return code list: [137, 137, 137]")
            .says("Cause: worker1 was lost: it has not answered for 7 s");
        // A job that can do without the node runs meanwhile.
        let other = ["exec", "c", "--num-nodes", "2", "echo meanwhile"];
        let other = namespace.skiff().run(&other).await.code(0);
        other.says("(worker2, rank=1, ").never_says("(worker1, ");
        drop(cut);
        all_are_back(namespace, 3).await;
    })
    .await;
}

#[tokio::test]
async fn killed_agents_come_back_with_the_table_of_jobs_and_without_their_processes() {
    with_namespace(async |namespace| {
        let running = begin(namespace, 2).await;
        host::kill_agent(&namespace.node("c", "worker1").await).expect("it runs here");
        let since = Instant::now();
        let finished = running.end().await.code(100);
        let known = since.elapsed();
        assert!(known < KNOWN, "known after {known:?}\n{finished}");
        finished.says("Cause: worker1 was lost: the task container was restarted");
        all_are_back(namespace, 2).await;

        let running = begin_again(namespace, 2).await;
        host::kill_agent(&namespace.head("c").await).expect("it runs here");
        let finished = running.end().await.code(100);
        finished.says("Cause: the task container was restarted while it ran");
        all_are_back(namespace, 2).await;
        let jobs = queue(namespace).await;
        let mut jobs: Vec<_> = jobs
            .iter()
            .map(|job| (&job["id"], &job["status"]))
            .collect();
        jobs.sort_by_key(|(id, _)| id.as_u64());
        let (failed, succeeded) = (&Value::from("FAILED"), &Value::from("SUCCEEDED"));
        let expected = [failed, succeeded, failed, succeeded];
        let ids: Vec<Value> = (1..=4).map(Value::from).collect();
        let expected: Vec<_> = ids.iter().zip(expected).collect();
        assert_eq!(jobs, expected);
    })
    .await;
}

#[tokio::test]
async fn a_node_whose_pod_is_deleted_fails_its_job_and_the_next_launch_makes_it_again() {
    with_namespace(async |namespace| {
        let running = begin(namespace, 3).await;
        let name = namespace.node_name("c", "worker2");
        let pods = namespace.api::<Pod>();
        let deleted = pods.delete(&name, &DeleteParams::default()).await;
        deleted.expect("the pod is there");
        let since = Instant::now();
        let finished = running.end().await.code(100);
        let known = since.elapsed();
        assert!(known < KNOWN, "known after {known:?}\n{finished}");
        finished
            .says("Cause: worker2")
            .says("the task container was told to stop");
        let words = small("c", &["--num-nodes", "3", COUNT]);
        let launched = namespace.skiff().run(&words).await.code(0);
        clean_everywhere(&launched, 3);
        let since = Instant::now();
        namespace.skiff().run(&["down", "-y", "c"]).await.code(0);
        eprintln!("down of 3 nodes after {:?}", since.elapsed());
        namespace.assert_nothing_left().await;
    })
    .await;
}

/// Stands between the agent and whoever talks to it, and makes each of them speak another version in the other's eyes.
fn version_changer(version: u16) -> String {
    format!(
        r#"#!/usr/bin/python3
import os, subprocess, sys, threading
agent = subprocess.Popen(["/skiff/bin/task.real"] + sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
def passed(source, target):
    greeting = True
    while data := os.read(source, 65536):
        if greeting:
            data = data.replace(b'"protocol":{PROTOCOL_VERSION}', b'"protocol":{version}')
            greeting = False
        while data:
            data = data[os.write(target, data):]
    os.close(target)
threading.Thread(target=passed, args=(0, agent.stdin.fileno()), daemon=True).start()
passed(agent.stdout.fileno(), 1)
"#
    )
}

#[tokio::test]
async fn a_version_one_apart_is_spoken_and_a_distant_one_is_told_with_the_way_out() {
    with_namespace(async |namespace| {
        namespace.launch("c", &["true"]).await.code(0);
        let head = namespace.head("c").await;
        host::replace_agent(&head, &version_changer(PROTOCOL_VERSION + 1)).await;
        let skiff = namespace.skiff();
        let exec = skiff.run(&["exec", "c", "echo one apart"]).await.code(0);
        exec.says("one apart");
        host::replace_agent(&head, &version_changer(PROTOCOL_VERSION + 2)).await;
        let refused = skiff.run(&["exec", "c", "true"]).await.code(1).one_error();
        let theirs = PROTOCOL_VERSION + 2;
        refused
            .notes(&format!(
                "the agent speaks protocol {theirs}, this Skiff speaks {PROTOCOL_VERSION}"
            ))
            .notes("hint: use a newer Skiff, or take the cluster down");
        skiff.run(&["down", "-y", "c"]).await.code(0);
        namespace.assert_nothing_left().await;
    })
    .await;
}
