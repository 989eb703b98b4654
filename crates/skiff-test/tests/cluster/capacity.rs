//! CPUs and memory: what no node has, what is not free now, and what is a whole node.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::Api;
use kube::api::ListParams;
use skiff_test::Namespace;
use skiff_test::namespace::{alone, with_namespace};

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
        namespace
            .launch("other", &["-d", "sleep 100000"])
            .await
            .code(0);
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
