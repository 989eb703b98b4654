//! A pod that dies under a follower: by the API, by a signal.

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use skiff_test::namespace::{small, with_namespace};
use skiff_test::{Namespace, host};

#[tokio::test]
async fn a_pod_that_vanishes_while_its_output_streams_is_told_to_be_gone() {
    with_namespace(async |namespace| {
        let mut launch = namespace
            .skiff()
            .start(&small("c", &["echo begun; sleep 100000"]));
        launch.stdout_has("begun").await;
        let head = namespace.head("c").await;
        let name = namespace.head_name("c");
        // As when a node dies: nobody is left who could say a last word.
        let at_once = DeleteParams::default().grace_period(0);
        host::freeze_agent(&head).expect("this machine is the node");
        namespace
            .api::<Pod>()
            .delete(&name, &at_once)
            .await
            .expect("the pod is there");
        host::kill_agent(&head).expect("this machine is the node");
        let finished = launch.end().await.code(100).one_error();
        finished
            .says("begun")
            .notes(&format!("pod {name} is gone"))
            .notes("hint:");
        namespace.skiff().run(&["down", "-y", "c"]).await.code(0);
        namespace.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn a_pod_that_is_deleted_while_its_output_streams_says_so_as_its_last_word() {
    with_namespace(async |namespace| {
        for grace in [
            DeleteParams::default(),
            DeleteParams::default().grace_period(0),
        ] {
            let mut launch = namespace
                .skiff()
                .start(&small("c", &["echo begun; sleep 100000"]));
            launch.stdout_has("begun").await;
            let name = namespace.head_name("c");
            namespace
                .api::<Pod>()
                .delete(&name, &grace)
                .await
                .expect("the pod is there");
            let finished = launch.end().await.code(100);
            // Deleted without grace, it may be gone before its last word has come through.
            let says_why = ["told to stop", "is gone"]
                .iter()
                .any(|why| finished.stderr.contains(why));
            assert!(says_why, "{finished}");
            finished.says("begun");
            namespace
                .wait_for_pod(&name, "deletion", |pod| pod.is_none())
                .await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_killed_agent_comes_back_and_tells_what_became_of_its_job() {
    with_namespace(async |namespace| {
        let mut launch = namespace
            .skiff()
            .start(&small("c", &["echo begun; sleep 100000"]));
        launch.stdout_has("begun").await;
        host::kill_agent(&namespace.head("c").await).expect("this machine is the node");
        let finished = launch.end().await.code(100);
        let finished = finished.says("begun");
        // The job table outlives the container; the follower learns the job's end from it.
        let queue = namespace
            .skiff()
            .run(&["queue", "c", "-o", "json"])
            .await
            .code(0)
            .json();
        assert_eq!(queue["c"][0]["status"], "FAILED", "{finished}");
        let cause = queue["c"][0]["cause"].as_str().unwrap_or_default();
        assert!(!cause.is_empty(), "the job's record has no cause: {queue}");
        let exec = namespace
            .skiff()
            .run(&["exec", "c", "echo second life"])
            .await
            .code(0);
        exec.says("second life");
        // The kubelet tells of the restart when it comes to it.
        let restarted = |pod: Option<&Pod>| {
            let statuses = pod.and_then(|pod| pod.status.as_ref()?.container_statuses.as_ref());
            statuses
                .into_iter()
                .flatten()
                .any(|task| task.name == "task" && task.restart_count == 1)
        };
        namespace
            .wait_for_pod(&namespace.head_name("c"), "restart", restarted)
            .await;
    })
    .await;
}

#[tokio::test]
async fn a_job_that_nobody_followed_has_failed_when_its_pod_is_gone_and_numbers_go_on() {
    with_namespace(async |namespace| {
        let skiff = namespace.skiff();
        let launched = skiff.run(&small("c", &["-d", "sleep 100000"])).await;
        launched.code(0);
        let name = namespace.head_name("c");
        let at_once = DeleteParams::default().grace_period(0);
        let deleted = namespace.api::<Pod>().delete(&name, &at_once).await;
        deleted.expect("the pod is there");
        namespace
            .wait_for_pod(&name, "deletion", |pod| pod.is_none())
            .await;

        let queue = skiff
            .run(&["queue", "c", "-o", "json"])
            .await
            .code(0)
            .json();
        assert_eq!(queue["c"][0]["status"], "FAILED", "{queue}");
        let cause = queue["c"][0]["cause"].as_str().unwrap_or_default();
        assert!(cause.contains(&format!("pod {name} is gone")), "{queue}");

        let again = skiff.run(&small("c", &["echo a second life"])).await;
        again.code(0).says("a second life");
        let queue = skiff
            .run(&["queue", "c", "-o", "json"])
            .await
            .code(0)
            .json();
        let of = |id: u64| {
            let jobs = queue["c"].as_array().expect("a list of jobs");
            jobs.iter()
                .find(|job| job["id"] == id)
                .expect("a job of this number")
        };
        assert_eq!(of(1)["status"], "FAILED", "{queue}");
        assert_eq!(of(2)["status"], "SUCCEEDED", "{queue}");
    })
    .await;
}

#[tokio::test]
async fn a_process_that_is_killed_for_want_of_memory_is_named() {
    with_namespace(async |namespace| {
        let task = json!({
            "config": { "kubernetes": { "set_pod_resource_limits": true } },
            // It grows in steps, as most do: one that is there for a moment only cannot be named.
            "run": "x=$(head -c 120000000 /dev/zero | tr '\\0' x); sleep 1; y=$x$x; echo never",
        });
        namespace.write("task.yaml", &task.to_string());
        let ended = namespace.launch("c", &["task.yaml"]).await.code(100);
        ended
            .says("Cause: out of memory: the kernel killed bash (process ")
            .says(" at the memory limit of ")
            .says("ask for more with `resources.memory`")
            .never_says("never");
    })
    .await;
}

#[tokio::test]
async fn a_pod_that_uses_too_much_disk_is_evicted_and_says_so() {
    with_namespace(async |namespace| {
        let limits = json!({ "limits": { "ephemeral-storage": "20Mi" } });
        let containers = json!([{ "name": "ray-node", "resources": limits }]);
        let task = json!({
            "config": { "kubernetes": { "pod_config": { "spec": { "containers": containers } } } },
            "run": "head -c 100000000 /dev/zero > /var/tmp/big; echo written; sleep 100000",
        });
        namespace.write("task.yaml", &task.to_string());
        let ended = namespace.launch("c", &["task.yaml"]).await.code(100);
        let ended = ended.says("written");
        assert!(ended.stderr.contains("ephemeral"), "{ended}");
        let status = namespace.skiff().run(&["status"]).await.code(0);
        assert!(status.stderr.contains("ephemeral"), "{status}");
        namespace.skiff().run(&["down", "-y", "c"]).await.code(0);
        namespace.assert_nothing_left().await;
    })
    .await;
}

/// Something that one node has one of.
const SEAT: &str = "skiff-test.example/seat";

/// Gives one node its seat, or takes it away.
async fn seat(namespace: &Namespace, amount: Value) {
    let nodes = Api::<Node>::all(namespace.client.clone());
    let all = nodes.list(&ListParams::default()).await;
    let first = all.expect("the administrator may list nodes").items[0].name_any();
    let amounts = json!({ SEAT: amount });
    let status = json!({ "status": { "capacity": amounts, "allocatable": amounts } });
    let patched = nodes
        .patch_status(&first, &PatchParams::default(), &Patch::Merge(status))
        .await;
    patched.expect("the administrator may change what a node has");
}

#[tokio::test]
async fn a_job_that_more_important_work_pushes_out_says_so() {
    with_namespace(async |namespace| {
        seat(namespace, "1".into()).await;
        let important: PriorityClass = serde_json::from_value(json!({
            "metadata": { "name": namespace.name }, "value": 1000,
        }))
        .expect("it is well-formed");
        let classes = Api::<PriorityClass>::all(namespace.client.clone());
        let made = classes.create(&PostParams::default(), &important).await;
        made.expect("the administrator may");
        let resources = json!({ "limits": { SEAT: "1" } });
        let containers = json!([{ "name": "ray-node", "resources": resources }]);
        let task = json!({
            "config": { "kubernetes": { "pod_config": { "spec": { "containers": containers } } } },
            "run": "echo begun; sleep 100000",
        });
        namespace.write("task.yaml", &task.to_string());
        let mut launch = namespace.skiff().start(&small("c", &["task.yaml"]));
        launch.stdout_has("begun").await;
        let vip: Pod = serde_json::from_value(json!({
            "metadata": { "name": "vip" },
            "spec": {
                "priorityClassName": namespace.name,
                "containers": [{
                    "name": "vip", "image": "skiff/base:0.1.0", "command": ["sleep", "100000"], "resources": resources,
                }],
            },
        }))
        .expect("it is well-formed");
        let api = namespace.api::<Pod>();
        let made = api.create(&PostParams::default(), &vip).await;
        made.expect("the administrator may");
        let finished = launch.end().await.code(100);
        let _ = api.delete("vip", &DeleteParams::default()).await;
        let _ = classes
            .delete(&namespace.name, &DeleteParams::default())
            .await;
        seat(namespace, Value::Null).await;
        assert!(finished.stderr.contains("Preempted by"), "{finished}");
    })
    .await;
}

#[tokio::test]
async fn a_container_that_is_not_ours_decides_nothing() {
    with_namespace(async |namespace| {
        let mesh = json!({
            "name": "mesh-proxy", "image": "skiff/base:0.1.0",
            "command": ["/bin/sh", "-c", "trap 'exit 3' TERM; sleep 100000 & wait"],
            "resources": { "requests": { "cpu": "10m" } },
        });
        let crashing = json!({
            "name": "log-shipper", "image": "skiff/base:0.1.0", "command": ["/bin/false"],
            "resources": { "requests": { "cpu": "10m" } },
        });
        let spec = json!({ "containers": [mesh, crashing] });
        let task = json!({
            "config": { "kubernetes": { "pod_config": { "spec": spec } } }, "run": "echo among others",
        });
        namespace.write("task.yaml", &task.to_string());
        let launched = namespace.launch("c", &["task.yaml"]).await.code(0);
        launched.says("among others");
        let failed = namespace.skiff().run(&["exec", "c", "exit 7"]).await.code(100);
        failed.says("return code list: [7]");
        let status = namespace
            .skiff()
            .run(&["status", "-o", "json"])
            .await
            .code(0)
            .json();
        assert_eq!(status[0]["status"], "UP", "{status}");
        namespace.skiff().run(&["down", "-y", "c"]).await.code(0);
        namespace.assert_nothing_left().await;
    })
    .await;
}
