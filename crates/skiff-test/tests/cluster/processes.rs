//! Too many processes: the limit of a pod ends a job, and nothing else.

use serde_json::json;
use skiff_test::bare::{ask, idle, start};
use skiff_test::namespace::{alone, small};

/// Shells that start shells without end, until the kernel refuses the first one another: then it fails.
const BOMB: &str = "exec sh -c 'while :; do sh -c \"while :; do sleep 100000 & done\" & done'";

#[tokio::test]
async fn a_fork_bomb_ends_its_job_and_leaves_the_pod_and_the_node_alive() {
    // Thousands of processes take the processors from every other test.
    alone(async |namespace| {
        start(namespace, idle("neighbour", &json!({}))).await;
        let skiff = namespace.skiff();
        let finished = skiff.run(&small("c", &[BOMB])).await.code(100);
        let queue = skiff
            .run(&["queue", "c", "-o", "json"])
            .await
            .code(0)
            .json();
        assert_eq!(queue["c"][0]["status"], "FAILED", "{finished}");
        let cause = queue["c"][0]["cause"].as_str().unwrap_or_default();
        assert!(cause.contains("limit of processes"), "{queue}\n{finished}");
        // The agent is the same one, takes jobs, and none of the bomb is left to refuse their processes.
        skiff
            .run(&["exec", "c", "echo second life"])
            .await
            .code(0)
            .says("second life");
        let restarts = namespace
            .head("c")
            .await
            .status
            .and_then(|status| status.container_statuses);
        let restarts = restarts
            .into_iter()
            .flatten()
            .map(|task| task.restart_count);
        assert_eq!(restarts.sum::<i32>(), 0);
        assert_eq!(
            ask(namespace, "neighbour", "echo untouched").await,
            "untouched"
        );
    })
    .await;
}
