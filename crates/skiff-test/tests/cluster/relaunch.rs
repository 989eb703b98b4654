//! Launching again: the same cluster, from one place or from two at once, or after its pod has gone.

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use skiff_test::Namespace;
use skiff_test::namespace::{small, with_namespace};

#[tokio::test]
async fn a_second_launch_reuses_the_pod() {
    with_namespace(async |namespace| {
        namespace
            .launch("c", &["echo one"])
            .await
            .code(0)
            .says("one");
        let uid = namespace.head("c").await.metadata.uid;
        let second = namespace.launch("c", &["echo two"]).await.code(0);
        second
            .says("two")
            .never_says("one")
            .notes("Job submitted, ID: 2");
        assert_eq!(namespace.head("c").await.metadata.uid, uid);
        assert_eq!(namespace.pods().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn two_launches_of_one_name_at_once_share_a_pod() {
    with_namespace(async |namespace| {
        let (first, second) = (namespace.skiff(), namespace.skiff());
        let (one, two) = (
            small("c", &["echo from one"]),
            small("c", &["echo from two"]),
        );
        let (first, second) = tokio::join!(first.run(&one), second.run(&two));
        first.code(0).says("from one").never_says("from two");
        second.code(0).says("from two").never_says("from one");
        assert_eq!(namespace.pods().await.len(), 1);
        let queue = namespace
            .skiff()
            .run(&["queue", "c", "-o", "json"])
            .await
            .code(0)
            .json();
        assert_eq!(queue["c"].as_array().map(Vec::len), Some(2));
        let launching = namespace
            .owners()
            .await
            .remove(0)
            .metadata
            .annotations
            .unwrap_or_default();
        assert!(
            !launching.contains_key("skiff.dev/launching"),
            "the launch is over: {launching:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn another_image_under_the_same_name_is_refused() {
    with_namespace(async |namespace| {
        namespace.launch("c", &["true"]).await.code(0);
        let other = namespace
            .launch("c", &["--image-id", "docker:other:1", "true"])
            .await
            .code(1)
            .one_error();
        other.notes("other:1").notes("skiff down c");
        assert_eq!(namespace.owners().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_cluster_whose_pod_was_deleted_is_brought_up_again() {
    with_namespace(async |namespace| {
        namespace.launch("c", &["true"]).await.code(0);
        let name = namespace.head_name("c");
        let pods = namespace.api::<Pod>();
        pods.delete(&name, &DeleteParams::default().grace_period(0))
            .await
            .expect("the pod is there");
        namespace
            .wait_for_pod(&name, "deletion", |pod| pod.is_none())
            .await;
        let status = namespace
            .skiff()
            .run(&["status", "-o", "json"])
            .await
            .code(0)
            .json();
        assert_eq!(status[0]["status"], "INIT");
        let exec = namespace
            .skiff()
            .run(&["exec", "c", "true"])
            .await
            .code(1)
            .one_error();
        exec.notes("INIT").notes("gone");
        namespace
            .launch("c", &["echo again"])
            .await
            .code(0)
            .says("again");
        assert_eq!(namespace.owners().await.len(), 1);
        namespace.skiff().run(&["down", "-y", "c"]).await.code(0);
        namespace.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn a_launch_makes_a_node_again_that_is_gone_and_leaves_the_others() {
    with_namespace(async |namespace| {
        let rank = "echo rank=$SKYPILOT_NODE_RANK";
        let task = ["--num-nodes", "2", rank];
        namespace.launch("c", &task).await.code(0).says("rank=1");
        let head = namespace.head("c").await.metadata.uid;
        let worker = namespace.head_name("c").replace("-head", "-worker1");
        let now = DeleteParams::default().grace_period(0);
        let pods = namespace.api::<Pod>();
        pods.delete(&worker, &now).await.expect("the pod is there");
        namespace
            .wait_for_pod(&worker, "deletion", |pod| pod.is_none())
            .await;
        let status = namespace.skiff().run(&["status"]).await.code(0);
        status.says("INIT").notes("worker1: its pod is gone");
        let again = namespace.launch("c", &task).await.code(0);
        again.says("rank=0").says("rank=1").notes("ID: 2");
        assert_eq!(namespace.head("c").await.metadata.uid, head);

        let one = namespace.launch("c", &[rank]).await.code(0);
        one.says("rank=0").never_says("rank=1");
        let three = namespace.launch("c", &["--num-nodes", "3", rank]).await;
        let three = three.code(1).one_error().never_says("rank=");
        three
            .notes("has 2 nodes, the task wants 3 nodes")
            .notes("skiff down c");
        namespace.skiff().run(&["down", "-y", "c"]).await.code(0);
        namespace.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn a_fast_launch_leaves_out_a_setup_that_has_run() {
    with_namespace(async |namespace| {
        let setup = |word: &str| {
            let task = format!("setup: echo set up {word}\nrun: echo ran\n");
            namespace.write("task.yaml", &task);
        };
        setup("once");
        let fast = ["--fast", "task.yaml"];
        let first = namespace.launch("c", &fast).await.code(0);
        first.says("set up once").says(") ran");
        let second = namespace.launch("c", &fast).await.code(0);
        second.never_says("set up").says(") ran");
        let slow = namespace.launch("c", &["task.yaml"]).await.code(0);
        slow.says("set up once").says(") ran");
        setup("otherwise");
        let without = namespace.launch("c", &["--no-setup", "task.yaml"]).await;
        without.code(0).never_says("set up").says(") ran");
        let changed = namespace.launch("c", &fast).await.code(0);
        changed.says("set up otherwise").says(") ran");
        namespace.skiff().run(&["down", "-y", "c"]).await.code(0);
    })
    .await;
}

#[tokio::test]
async fn a_dry_run_creates_nothing() {
    with_namespace(async |namespace| {
        let dry = namespace
            .launch("c", &["--dryrun", "echo never"])
            .await
            .code(0);
        dry.never_says("never")
            .notes("A new cluster 'c' would be launched");
        namespace.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn the_agent_travels_to_a_namespace_once() {
    with_namespace(async |namespace| {
        namespace.launch("one", &["true"]).await.code(0);
        let before = agent_secrets(namespace).await;
        assert!(!before.is_empty(), "no Secret carries the agent");
        namespace.launch("two", &["true"]).await.code(0);
        namespace.skiff().run(&["down", "-y", "-a"]).await.code(0);
        assert_eq!(agent_secrets(namespace).await, before);
    })
    .await;
}

/// Names and uids of the Secrets that carry the agent; each must be immutable.
async fn agent_secrets(namespace: &Namespace) -> Vec<(String, Option<String>)> {
    let labels = ListParams::default().labels("skiff.dev/agent,!skiff.dev/cluster");
    let secrets = namespace
        .api::<Secret>()
        .list(&labels)
        .await
        .expect("Secrets can be listed");
    assert!(
        secrets.iter().all(|secret| secret.immutable == Some(true)),
        "a Secret can be changed"
    );
    secrets
        .items
        .iter()
        .map(|secret| (secret.name_any(), secret.metadata.uid.clone()))
        .collect()
}
