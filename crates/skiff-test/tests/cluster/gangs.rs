//! Jobs of several nodes: their ranks and addresses, how they end together, and many jobs at once.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use skiff_test::Namespace;
use skiff_test::namespace::with_namespace;

/// What a job of a gang prints of its place.
const PLACE: &str = "task=$SKYPILOT_TASK_ID rank=$SKYPILOT_NODE_RANK of=$SKYPILOT_NUM_NODES \
                     ips=$(echo $SKYPILOT_NODE_IPS | tr ' ' '+') host=$(hostname)";
/// A task of two nodes that work together.
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/gang.yaml");
/// Commands that are started at the same time.
const AT_ONCE: usize = 200;

async fn launch(namespace: &Namespace, nodes: &str, task: &str) -> skiff_test::program::Finished {
    let flags = ["--num-nodes", nodes, task];
    namespace.launch("c", &flags).await
}

async fn queue(namespace: &Namespace) -> Vec<Value> {
    let program = namespace.skiff();
    let queue = program.run(&["queue", "c", "-o", "json"]).await.code(0);
    let queue = queue.json();
    queue["c"].as_array().cloned().expect("a list of jobs")
}

async fn job(namespace: &Namespace, id: u64) -> Value {
    let jobs = queue(namespace).await;
    let found = jobs.into_iter().find(|job| job["id"] == id);
    found.unwrap_or_else(|| panic!("there is no job {id}"))
}

/// The values of one word of [`PLACE`] in the lines of a job, by their order.
fn values(stdout: &str, name: &str) -> Vec<String> {
    let key = format!("{name}=");
    let words = stdout.lines().filter_map(|line| line.split_once(") "));
    let mut values: Vec<String> = words
        .filter_map(|(_, text)| text.split(' ').find_map(|word| word.strip_prefix(&key)))
        .map(str::to_owned)
        .collect();
    values.sort();
    values
}

#[tokio::test]
async fn a_gang_knows_its_ranks_and_addresses_and_a_smaller_job_runs_on_fewer_nodes() {
    with_namespace(async |namespace| {
        namespace.write(
            "task.yaml",
            &format!(
                "setup: echo setup=$SKYPILOT_SETUP_NODE_RANK; echo $SKYPILOT_SETUP_NODE_RANK > ~/set-up\n\
                 run: echo {PLACE} made=$(cat ~/set-up)\n"
            ),
        );
        let finished = launch(namespace, "2", "task.yaml").await.code(0);
        let stdout = finished.stdout.as_str();
        for line in [
            "Waiting for task resources on 2 nodes.",
            "(head, rank=0, pid=",
            "(worker1, rank=1, pid=",
            "Job finished (status: SUCCEEDED).",
        ] {
            assert!(stdout.contains(line), "{line}\n{stdout}");
        }
        for name in ["setup", "rank", "made"] {
            assert_eq!(values(stdout, name), ["0", "1"], "{name}\n{stdout}");
        }
        assert_eq!(values(stdout, "of"), ["2", "2"], "{stdout}");
        let ips = values(stdout, "ips");
        assert_eq!(ips[0], ips[1], "{stdout}");
        let different: BTreeSet<&str> = ips[0].split('+').collect();
        assert_eq!(different.len(), 2, "{stdout}");
        assert_ne!(values(stdout, "host")[0], values(stdout, "host")[1], "{stdout}");
        let worker = stdout.lines().find(|line| line.starts_with("(worker1, rank=1,"));
        let address = ips[0].split('+').nth(1).expect("the worker's");
        assert!(worker.is_some_and(|line| line.contains(&format!(", ip={address}) "))), "{stdout}");
        assert_eq!(job(namespace, 1).await["exit_codes"], serde_json::json!([0, 0]));

        let example = namespace.launch("c", &[EXAMPLE]).await.code(0);
        example.says("the sum of all parts is 500500");

        let smaller = namespace.skiff().run(&["exec", "c", &format!("echo {PLACE}")]).await.code(0);
        assert_eq!(values(&smaller.stdout, "of"), ["1"], "{}", smaller.stdout);
        assert_eq!(values(&smaller.stdout, "rank"), ["0"], "{}", smaller.stdout);
        let larger = namespace.skiff().run(&["exec", "c", "--num-nodes", "3", "true"]).await.code(1);
        larger.notes("the job asks for 3 nodes, the cluster has 2 nodes");
    })
    .await;
}

#[tokio::test]
async fn a_failing_node_ends_the_others_and_cancel_ends_all() {
    with_namespace(async |namespace| {
        let fails = "[ $SKYPILOT_NODE_RANK = 1 ] && exit 5; sleep 100000";
        let finished = launch(namespace, "2", fails).await.code(100);
        finished.says("ERROR: Job 1 failed with return code list: [137, 5]");
        let record = job(namespace, 1).await;
        assert_eq!(record["exit_codes"], serde_json::json!([137, 5]));
        assert_eq!(record["exit_code"], 5);

        let program = namespace.skiff();
        let words = ["exec", "c", "--num-nodes", "2", "echo begun; sleep 100000"];
        let mut running = program.start(&words);
        running.stdout_has("rank=0").await;
        running.stdout_has("rank=1").await;
        program
            .run(&["cancel", "-y", "c", "2"])
            .await
            .code(0)
            .notes("CANCELLED");
        running.end().await.code(103);
        let left = "echo left=$(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -c '^10000[0]$')";
        let finished = program
            .run(&["exec", "c", "--num-nodes", "2", left])
            .await
            .code(0);
        assert_eq!(
            values(&finished.stdout, "left"),
            ["0", "0"],
            "{}",
            finished.stdout
        );
    })
    .await;
}

#[tokio::test]
async fn two_hundred_commands_at_once_are_all_acknowledged_and_run_once() {
    with_namespace(async |namespace| {
        namespace.launch("c", &["true"]).await.code(0);
        let program = namespace.skiff().within(Duration::from_mins(5));
        let running: Vec<_> = (0..AT_ONCE)
            .map(|number| {
                let run = format!("echo {number} >> ~/ran");
                program.start(&["exec", "-d", "c", &run])
            })
            .collect();
        for running in running {
            running.end().await.code(0);
        }
        let count = AT_ONCE.to_string();
        let run = "sort -u ~/ran | wc -l; wc -l < ~/ran";
        let finished = program.run(&["exec", "c", run]).await.code(0);
        let numbers: Vec<&str> = finished
            .stdout
            .lines()
            .filter_map(|line| line.strip_prefix('(')?.split_once(") "))
            .map(|(_, number)| number.trim())
            .collect();
        assert_eq!(numbers, [count.as_str(); 2], "{}", finished.stdout);
        let jobs = queue(namespace).await;
        assert_eq!(jobs.len(), AT_ONCE + 2);
        for job in jobs {
            assert_eq!(job["status"], "SUCCEEDED", "{job}");
        }
    })
    .await;
}
