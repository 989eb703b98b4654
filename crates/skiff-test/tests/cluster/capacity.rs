//! CPUs and memory: what no node has, what is not free now, and what is a whole node.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, ResourceQuota};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::runtime::wait::await_condition;
use skiff_test::Namespace;
use skiff_test::namespace::{alone, small, with_namespace};
use tokio::time::timeout;

async fn nodes(namespace: &Namespace) -> Vec<Node> {
    let nodes = Api::<Node>::all(namespace.client.clone());
    let nodes = nodes.list(&ListParams::default()).await;
    nodes.expect("the administrator may list nodes").items
}

/// CPUs of the largest node, in thousandths.
async fn largest_node(namespace: &Namespace) -> u32 {
    let nodes = nodes(namespace).await;
    let cpus = nodes.iter().filter_map(|node| {
        let cpu = &node.status.as_ref()?.allocatable.as_ref()?.get("cpu")?.0;
        cpu.strip_suffix('m').map_or_else(
            || Some(cpu.parse::<u32>().ok()? * 1000),
            |milli| milli.parse().ok(),
        )
    });
    cpus.max().expect("there is a node")
}

/// All memory of the only node in megabytes: more than it gives to pods.
async fn memory_of_the_node(namespace: &Namespace) -> u64 {
    let nodes = nodes(namespace).await;
    let status = nodes[0].status.as_ref().expect("a node has a status");
    let kibibytes = |amounts: Option<&BTreeMap<String, Quantity>>| -> u64 {
        let amount = &amounts.expect("a ready node tells what it has")["memory"].0;
        let digits = amount
            .strip_suffix("Ki")
            .expect("kubelets count memory in Ki");
        digits.parse().expect("a number")
    };
    let megabytes = kibibytes(status.capacity.as_ref()) * 1024 / 1_000_000;
    assert!(megabytes * 1_000_000 > kibibytes(status.allocatable.as_ref()) * 1024);
    megabytes
}

/// Launches a cluster `other` with a small pod on each node of Kubernetes.
pub(crate) async fn occupy_all_nodes(namespace: &Namespace) {
    let count = nodes(namespace).await.len().to_string();
    let words = ["-d", "--num-nodes", &count, "sleep 100000"];
    namespace.launch("other", &words).await.code(0);
}

/// A number of CPUs that each node has, and that none has left once a small pod runs there.
pub(crate) async fn more_than_is_free(namespace: &Namespace) -> String {
    format!(
        "{:.3}",
        f64::from(largest_node(namespace).await - 50) / 1000.0
    )
}

#[tokio::test]
async fn what_no_node_has_is_refused_before_anything_is_created() {
    with_namespace(async |namespace| {
        let refused = namespace
            .skiff()
            .run(&["launch", "-y", "-c", "c", "--cpus", "9000", "true"])
            .await;
        let refused = refused
            .code(1)
            .one_error()
            .notes("no node is large enough for 9000 CPUs")
            .notes("NODE");
        refused.notes("Ready").notes("hint:");
        let refused = namespace
            .skiff()
            .run(&[
                "launch", "-y", "-c", "c", "--cpus", "0.1", "--memory", "20000", "true",
            ])
            .await
            .code(1)
            .one_error();
        refused.notes("20000 GB");
        namespace.assert_nothing_left().await;
        assert!(namespace.pods().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_is_not_free_is_told_within_the_time_for_scheduling() {
    with_namespace(async |namespace| {
        occupy_all_nodes(namespace).await;
        namespace.write(
            "task.yaml",
            "config: {kubernetes: {provision_timeout: 1}}\nrun: echo never\n",
        );
        let cpus = more_than_is_free(namespace).await;
        let refused = namespace
            .skiff()
            .run(&["launch", "-y", "-c", "c", "--cpus", &cpus, "task.yaml"])
            .await;
        let refused = refused.code(1).one_error().never_says("never");
        refused
            .notes(&namespace.head_name("c"))
            .notes("Insufficient cpu")
            .notes("hint: ask for less (`--cpus`)");
        namespace
            .skiff()
            .run(&["down", "-y", "other"])
            .await
            .code(0);
        namespace.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn a_task_that_asks_for_a_whole_node_gets_what_is_free_of_it() {
    alone(async |namespace| {
        let cpus = f64::from(largest_node(namespace).await) / 1000.0;
        let memory = format!("{}MB", memory_of_the_node(namespace).await);
        let words = [
            "launch",
            "-y",
            "-c",
            "c",
            "--cpus",
            &cpus.to_string(),
            "--memory",
            &memory,
            "echo ran",
        ];
        let finished = namespace.skiff().run(&words).await.code(0).says("ran");
        finished
            .notes("asks for the whole of node")
            .notes("GB of memory");
    })
    .await;
}

/// Lets the namespace have no pods.
async fn forbid_pods(namespace: &Namespace) {
    let quota = serde_json::json!({
        "metadata": { "name": "none" },
        "spec": { "hard": { "pods": "0" } },
    });
    let quota: ResourceQuota = serde_json::from_value(quota).expect("a quota");
    let quotas = namespace.api::<ResourceQuota>();
    let made = quotas.create(&PostParams::default(), &quota).await;
    made.expect("the administrator may");
    let counts = |quota: Option<&ResourceQuota>| {
        let status = quota.and_then(|quota| quota.status.as_ref());
        status.is_some_and(|status| status.used.is_some())
    };
    let counting = await_condition(quotas, "none", counts);
    let counting = timeout(Duration::from_mins(1), counting).await;
    counting
        .expect("a quota is counted in time")
        .expect("quotas can be watched");
}

#[tokio::test]
async fn a_launch_that_is_to_retry_waits_for_room_and_ctrl_c_leaves_nothing() {
    with_namespace(async |namespace| {
        forbid_pods(namespace).await;
        let refused = namespace.launch("c", &["echo never"]).await.code(1);
        refused.one_error().notes("exceeded quota");
        let retry = small("c", &["-r", "echo ran"]);
        let mut ended = namespace.skiff().start(&retry);
        ended.stderr_has("trying again in 2 s").await;
        ended.interrupt();
        ended.end().await.code(130).never_says("ran");
        namespace.assert_nothing_left().await;

        let mut launch = namespace.skiff().start(&retry);
        launch.stderr_has("trying again in 2 s").await;
        let quotas = namespace.api::<ResourceQuota>();
        let removed = quotas.delete("none", &DeleteParams::default()).await;
        removed.expect("the administrator may");
        launch.end().await.code(0).says(") ran");
        namespace.skiff().run(&["down", "-y", "c"]).await.code(0);
        namespace.assert_nothing_left().await;
    })
    .await;
}
