//! Jobs: how they end, how they are listed, followed and cancelled.

use serde_json::Value;
use skiff_test::Namespace;
use skiff_test::namespace::with_namespace;

/// A job that runs until somebody ends it.
const ENDLESS: &str = "echo begun; sleep 100000";

async fn queue(namespace: &Namespace, cluster: &str) -> Vec<Value> {
    let queue = namespace
        .skiff()
        .run(&["queue", cluster, "-o", "json"])
        .await
        .code(0)
        .json();
    queue[cluster]
        .as_array()
        .cloned()
        .expect("the queue of each cluster is a list")
}

/// The record of a job, by its number.
async fn job(namespace: &Namespace, cluster: &str, id: u64) -> Value {
    let jobs = queue(namespace, cluster).await;
    jobs.into_iter()
        .find(|job| job["id"] == id)
        .unwrap_or_else(|| panic!("there is no job {id}"))
}

#[tokio::test]
async fn a_job_that_succeeds_ends_with_0_and_leaves_the_cluster_up() {
    with_namespace(async |namespace| {
        let finished = namespace
            .launch("c", &["echo out; echo err >&2"])
            .await
            .code(0);
        finished.says("out").says("err").notes("skiff down c");
        let record = job(namespace, "c", 1).await;
        assert_eq!(
            (&record["status"], &record["exit_code"]),
            (&"SUCCEEDED".into(), &0.into())
        );
        let status = namespace
            .skiff()
            .run(&["status", "-o", "json"])
            .await
            .code(0)
            .json();
        assert_eq!(status[0]["name"], "c");
        assert_eq!(status[0]["status"], "UP");
        assert_eq!(status[0]["infra"]["cloud"], "kubernetes");
        assert_eq!(status[0]["user"], "tester");
        assert_eq!(status[0]["docker"], "off");
        let table = namespace.skiff().run(&["status"]).await.code(0);
        table.says("NAME").says("INFRA").says("UP");
    })
    .await;
}

#[tokio::test]
async fn a_failing_job_ends_with_100_and_keeps_its_code() {
    with_namespace(async |namespace| {
        namespace
            .launch("c", &["echo before; exit 7"])
            .await
            .code(100)
            .says("before");
        let record = job(namespace, "c", 1).await;
        assert_eq!(
            (&record["status"], &record["exit_code"]),
            (&"FAILED".into(), &7.into())
        );
        namespace
            .skiff()
            .run(&["logs", "c", "1"])
            .await
            .code(100)
            .says("before");
        namespace
            .skiff()
            .run(&["queue", "c"])
            .await
            .code(0)
            .says("FAILED");
        namespace
            .skiff()
            .run(&["exec", "c", "kill -9 $$"])
            .await
            .code(100);
        assert_eq!(job(namespace, "c", 2).await["exit_code"], 137);
    })
    .await;
}

#[tokio::test]
async fn a_failing_setup_keeps_the_run_from_starting() {
    with_namespace(async |namespace| {
        namespace.write(
            "task.yaml",
            "setup: |\n  echo in setup\n  exit 3\nrun: echo in run\n",
        );
        let finished = namespace.launch("c", &["task.yaml"]).await.code(100);
        finished.says("in setup").never_says("in run");
        let record = job(namespace, "c", 1).await;
        assert_eq!(
            (&record["status"], &record["exit_code"]),
            (&"FAILED_SETUP".into(), &3.into())
        );
        // `exec` leaves the setup out, `--no-setup` too.
        let exec = namespace
            .skiff()
            .run(&["exec", "c", "task.yaml"])
            .await
            .code(0);
        exec.says("in run").never_says("in setup");
        let again = namespace
            .launch("c", &["task.yaml", "--no-setup"])
            .await
            .code(0);
        again.says("in run").never_says("in setup");
    })
    .await;
}

#[tokio::test]
async fn a_detached_launch_does_not_wait_for_its_job() {
    with_namespace(async |namespace| {
        namespace
            .launch("c", &["-d", ENDLESS])
            .await
            .code(0)
            .notes("Job submitted, ID: 1");
        let status = job(namespace, "c", 1).await["status"].clone();
        assert!(
            matches!(status.as_str(), Some("PENDING" | "RUNNING")),
            "the job is {status}"
        );
        let detached = namespace
            .skiff()
            .run(&["exec", "-d", "c", "exit 4"])
            .await
            .code(0);
        detached.notes("Job submitted, ID: 2");
    })
    .await;
}

#[tokio::test]
async fn logs_are_read_by_number_and_end_where_asked() {
    with_namespace(async |namespace| {
        let skiff = namespace.skiff();
        namespace.launch("c", &["echo first"]).await.code(0);
        skiff.run(&["exec", "c", "echo second"]).await.code(0);
        skiff
            .run(&["logs", "c", "1"])
            .await
            .code(0)
            .says("first")
            .never_says("second");
        skiff
            .run(&["logs", "c"])
            .await
            .code(0)
            .says("second")
            .never_says("first");
        skiff.run(&["exec", "-d", "c", ENDLESS]).await.code(0);
        let mut follower = skiff.start(&["logs", "c", "3"]);
        follower.stdout_has("begun").await;
        skiff
            .run(&["logs", "c", "3", "--no-follow"])
            .await
            .code(0)
            .says("begun");
        skiff
            .run(&["logs", "c", "17"])
            .await
            .code(102)
            .one_error()
            .notes("17");
        skiff
            .run(&["cancel", "-y", "c", "3"])
            .await
            .code(0)
            .notes("CANCELLED");
        follower.end().await.code(103);
        skiff.run(&["logs", "c", "3"]).await.code(103);
    })
    .await;
}

#[tokio::test]
async fn cancel_ends_the_newest_job_or_those_that_are_named_or_all() {
    with_namespace(async |namespace| {
        let skiff = namespace.skiff();
        namespace.launch("c", &["-d", ENDLESS]).await.code(0);
        for _ in 0..3 {
            skiff.run(&["exec", "-d", "c", ENDLESS]).await.code(0);
        }
        skiff
            .run(&["cancel", "-y", "c"])
            .await
            .code(0)
            .notes("Job 4");
        skiff
            .run(&["cancel", "-y", "c", "1"])
            .await
            .code(0)
            .notes("Job 1");
        skiff
            .run(&["cancel", "-y", "c", "99"])
            .await
            .code(1)
            .one_error()
            .notes("99");
        skiff
            .run(&["cancel", "-y", "-a", "c"])
            .await
            .code(0)
            .notes("Job 2")
            .notes("Job 3");
        let states: Vec<Value> = queue(namespace, "c")
            .await
            .into_iter()
            .map(|job| job["status"].clone())
            .collect();
        assert_eq!(states, ["CANCELLED"; 4]);
        skiff
            .run(&["cancel", "-y", "c"])
            .await
            .code(0)
            .notes("nothing to cancel");
        let unfinished = skiff
            .run(&["queue", "c", "--skip-finished", "-o", "json"])
            .await
            .code(0)
            .json();
        assert_eq!(unfinished["c"], serde_json::json!([]));
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_job_takes_its_children_with_it() {
    with_namespace(async |namespace| {
        let skiff = namespace.skiff();
        let stubborn = "trap '' TERM; (trap '' TERM; setsid sleep 31337 & wait) & echo begun; wait";
        namespace.launch("c", &["-d", stubborn]).await.code(0);
        let mut follower = skiff.start(&["logs", "c"]);
        follower.stdout_has("begun").await;
        skiff
            .run(&["cancel", "-y", "c", "1"])
            .await
            .code(0)
            .notes("CANCELLED");
        follower.end().await.code(103);
        let count =
            "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c 'sleep 3133[7]'; true";
        skiff.run(&["exec", "c", count]).await.code(0).says(") 0\n");
    })
    .await;
}

#[tokio::test]
async fn jobs_wait_for_their_turn_and_run_in_order() {
    with_namespace(async |namespace| {
        let skiff = namespace.skiff();
        namespace
            .launch(
                "c",
                &["-d", "mkfifo ~/go; echo begun; cat ~/go; echo a >> ~/order"],
            )
            .await
            .code(0);
        let mut first = skiff.start(&["logs", "c", "1"]);
        first.stdout_has("begun").await;
        for id in ["2", "3"] {
            skiff
                .run(&["exec", "-d", "c", &format!("echo job {id} >> ~/order")])
                .await
                .code(0);
        }
        assert_eq!(job(namespace, "c", 2).await["status"], "PENDING");
        namespace.inside("c", "echo > ~/go").await;
        first.end().await.code(0);
        skiff.run(&["logs", "c", "3"]).await.code(0);
        let order = namespace.inside("c", "cat ~/order").await;
        assert_eq!(String::from_utf8_lossy(&order), "a\njob 2\njob 3\n");
    })
    .await;
}

#[tokio::test]
async fn a_task_without_a_command_brings_the_cluster_up_and_runs_its_setup_alone() {
    with_namespace(async |namespace| {
        namespace
            .launch("c", &[])
            .await
            .code(0)
            .notes("Cluster launched: c");
        assert_eq!(queue(namespace, "c").await, [Value::Null; 0]);
        namespace.write("task.yaml", "setup: echo in setup\n");
        namespace
            .launch("c", &["task.yaml"])
            .await
            .code(0)
            .says("in setup");
        let exec = namespace
            .skiff()
            .run(&["exec", "c", "task.yaml"])
            .await
            .code(0);
        exec.notes("nothing was run").never_says("in setup");
        assert_eq!(queue(namespace, "c").await.len(), 1);
    })
    .await;
}
