//! What pods' statuses mean, as kubelets write them.

#![allow(clippy::panic, reason = "a test fails by a panic")]
#![allow(
    clippy::needless_pass_by_value,
    reason = "literals read better without a reference"
)]

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use skiff_kube::{Diagnosis, PodState, Waiting, last_restart, observe};

const OURS: &[&str] = &["task", "docker", "tools"];

fn pod(status: Value) -> Pod {
    scheduled(json!({ "metadata": { "name": "c-head" }, "status": status }))
}

fn scheduled(mut pod: Value) -> Pod {
    pod["spec"] = json!({ "containers": [], "restartPolicy": "OnFailure", "nodeName": "node-0" });
    serde_json::from_value(pod).expect("the pod is well-formed")
}

fn container(name: &str, state: Value) -> Value {
    container_with(name, state, json!({}))
}

fn container_with(name: &str, state: Value, more: Value) -> Value {
    let mut container = json!({
        "name": name, "state": state, "image": format!("example/{name}:1"), "imageID": "",
        "ready": false, "restartCount": 0,
    });
    if let (Some(container), Some(more)) = (container.as_object_mut(), more.as_object()) {
        container.extend(more.clone());
    }
    container
}

fn running() -> Value {
    json!({ "running": { "startedAt": "2026-01-01T00:00:00Z" } })
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({ "waiting": { "reason": reason, "message": message } })
}

fn ended(code: i32) -> Value {
    json!({ "terminated": { "exitCode": code, "reason": if code == 0 { "Completed" } else { "Error" } } })
}

fn state(containers: &[Value]) -> PodState {
    observe(
        &pod(json!({ "phase": "Pending", "containerStatuses": containers })),
        OURS,
    )
}

fn failure(state: PodState) -> Diagnosis {
    match state {
        PodState::Failed(diagnosis) => diagnosis,
        other => panic!("not a failure: {other:?}"),
    }
}

#[test]
fn a_pod_without_a_node_waits_for_one() {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": "c-head" },
        "spec": { "containers": [] },
        "status": { "phase": "Pending" },
    }))
    .expect("the pod is well-formed");
    assert_eq!(observe(&pod, OURS), PodState::Waiting(Waiting::Scheduling));
}

#[test]
fn a_pod_that_no_node_can_take_is_stuck_with_the_schedulers_words() {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": "c-head" },
        "spec": { "containers": [] },
        "status": { "phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient cpu.",
        }] },
    }))
    .expect("the pod is well-formed");
    let PodState::Stuck { diagnosis, grace } = observe(&pod, OURS) else {
        panic!("it is not stuck");
    };
    assert_eq!(grace, None);
    assert_eq!(diagnosis.object, "pod c-head");
    assert_eq!(
        diagnosis.cause,
        "no node can take it: 0/1 nodes are available: 1 Insufficient cpu"
    );
    assert!(diagnosis.hint.is_some_and(|hint| hint.contains("--cpus")));
}

#[test]
fn a_pod_runs_when_its_task_runs_whatever_a_foreign_container_does() {
    let mesh = container("mesh-proxy", waiting("CrashLoopBackOff", "back-off"));
    assert_eq!(
        state(&[mesh, container("task", running())]),
        PodState::Running
    );
}

#[test]
fn a_broken_daemon_beside_a_running_task_is_told() {
    let docker = container("docker", waiting("ErrImagePull", "manifest unknown"));
    let diagnosis = failure(state(&[container("task", running()), docker]));
    assert_eq!(diagnosis.object, "pod c-head, container docker");
}

#[test]
fn the_next_container_to_start_is_named_with_its_image() {
    let creating = || waiting("ContainerCreating", "");
    let status = json!({
        "phase": "Pending",
        "initContainerStatuses": [container("tools", creating())],
        "containerStatuses": [container("task", waiting("PodInitializing", ""))],
    });
    assert_eq!(
        observe(&pod(status), OURS),
        PodState::Waiting(Waiting::Starting {
            container: "tools".to_owned(),
            image: "example/tools:1".to_owned(),
        })
    );
}

#[test]
fn a_task_that_ended_with_0_is_completed_even_where_a_mesh_keeps_the_pod_running() {
    let status = json!({ "phase": "Running", "containerStatuses": [
        container("task", ended(0)), container("mesh-proxy", running()),
    ] });
    assert_eq!(observe(&pod(status), OURS), PodState::Completed);
}

#[test]
fn a_task_that_crashed_is_on_its_way_back_until_it_has_crashed_often() {
    let crash = |count: i32| {
        container_with(
            "task",
            waiting(
                "CrashLoopBackOff",
                "back-off 10s restarting failed container",
            ),
            json!({ "restartCount": count, "lastState": { "terminated": {
                "exitCode": 137, "reason": "OOMKilled",
            } } }),
        )
    };
    let memory = "it was killed because it used more memory than its limit (OOMKilled); ask for more with `resources.memory`";
    assert_eq!(
        state(&[crash(1)]),
        PodState::Waiting(Waiting::Restarting {
            reason: memory.to_owned()
        })
    );
    assert_eq!(failure(state(&[crash(3)])).cause, memory);
}

#[test]
fn a_task_that_has_just_ended_with_a_code_is_restarting() {
    assert_eq!(
        state(&[container("task", ended(1))]),
        PodState::Waiting(Waiting::Restarting {
            reason: "it ended with exit code 1".to_owned()
        })
    );
}

#[test]
fn an_image_that_a_registry_does_not_know_fails_at_once() {
    let message = "rpc error: code = NotFound desc = failed to pull and unpack image: not found";
    let diagnosis = failure(state(&[container(
        "task",
        waiting("ErrImagePull", message),
    )]));
    assert!(diagnosis.cause.contains("example/task:1 cannot be pulled"));
    assert!(
        diagnosis
            .hint
            .is_some_and(|hint| hint.contains("name and tag"))
    );
}

#[test]
fn an_image_that_may_not_be_pulled_points_at_the_pull_secret() {
    let message = "pull access denied, repository does not exist or may require authorization";
    let diagnosis = failure(state(&[container(
        "task",
        waiting("ErrImagePull", message),
    )]));
    assert!(
        diagnosis
            .hint
            .is_some_and(|hint| hint.contains("imagePullSecrets"))
    );
}

#[test]
fn a_registry_that_does_not_answer_gets_a_grace() {
    let message = "dial tcp: lookup registry.example: i/o timeout";
    let PodState::Stuck { diagnosis, grace } =
        state(&[container("task", waiting("ErrImagePull", message))])
    else {
        panic!("it is not stuck");
    };
    assert!(grace.is_some());
    assert!(diagnosis.cause.contains("i/o timeout"), "{diagnosis}");
}

#[test]
fn a_back_off_without_a_cause_names_at_least_its_reason() {
    let back_off = waiting(
        "ImagePullBackOff",
        "Back-off pulling image \"example/task:1\"",
    );
    let PodState::Stuck { diagnosis, .. } = state(&[container("task", back_off)]) else {
        panic!("it is not stuck");
    };
    assert!(diagnosis.cause.ends_with("ImagePullBackOff"), "{diagnosis}");
}

#[test]
fn an_image_without_a_shell_is_told_to_lack_one() {
    let message = "failed to create containerd task: OCI runtime create failed: container_linux.go:380: \
                   starting container process caused: exec: \"/bin/sh\": stat /bin/sh: no such file or directory: unknown";
    let diagnosis = failure(state(&[container(
        "task",
        waiting("RunContainerError", message),
    )]));
    assert!(
        diagnosis
            .hint
            .is_some_and(|hint| hint.contains("no /bin/sh"))
    );
    // Newer kubelets end the container with the reason StartError instead, and back off.
    let later = container_with(
        "task",
        waiting("CrashLoopBackOff", "back-off"),
        json!({ "restartCount": 1, "lastState": { "terminated": {
            "exitCode": 128, "reason": "StartError", "message": message,
        } } }),
    );
    let diagnosis = failure(state(&[later]));
    assert!(
        diagnosis
            .hint
            .is_some_and(|hint| hint.contains("no /bin/sh"))
    );
}

#[test]
fn an_evicted_pod_is_a_failure_with_the_kubelets_words() {
    let status = json!({
        "phase": "Failed", "reason": "Evicted",
        "message": "The node was low on resource: ephemeral-storage.",
    });
    let diagnosis = failure(observe(&pod(status), OURS));
    assert_eq!(
        diagnosis.cause,
        "Evicted: The node was low on resource: ephemeral-storage."
    );
    assert!(diagnosis.hint.is_some());
}

#[test]
fn a_pod_on_its_way_out_is_waited_for() {
    let pod = scheduled(json!({
        "metadata": { "name": "c-head", "deletionTimestamp": "2026-01-01T00:00:00Z" },
        "status": { "phase": "Running", "containerStatuses": [container("task", running())] },
    }));
    assert_eq!(observe(&pod, OURS), PodState::Waiting(Waiting::Deletion));
}

#[test]
fn a_pod_that_says_nothing_yet_is_waited_for() {
    let state = observe(&pod(json!({})), OURS);
    assert!(matches!(state, PodState::Waiting(_)), "{state:?}");
}

#[test]
fn a_running_pod_of_a_silent_node_is_stuck_and_names_the_node() {
    let with = |ready: Value, containers_ready: &str| {
        let conditions = json!([ready, { "type": "ContainersReady", "status": containers_ready }]);
        observe(
            &pod(json!({
                "phase": "Running", "conditions": conditions, "containerStatuses": [container("task", running())],
            })),
            OURS,
        )
    };
    let not_ready = json!({ "type": "Ready", "status": "False" });
    match with(not_ready.clone(), "True") {
        PodState::Stuck { diagnosis, grace } => {
            assert!(
                diagnosis.cause.contains("node node-0 does not answer"),
                "{diagnosis}"
            );
            assert!(grace.is_some(), "a node may come back");
        }
        other => panic!("{other:?}"),
    }
    // A container that is not ready yet, and a readiness gate, say nothing of the node.
    assert_eq!(with(not_ready, "False"), PodState::Running);
    let gate = json!({ "type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady" });
    assert_eq!(with(gate, "True"), PodState::Running);
}

#[test]
fn a_container_that_was_started_again_tells_how_it_had_ended() {
    let killed = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } });
    let task = container_with("task", running(), json!({ "lastState": killed }));
    let pod = pod(json!({ "phase": "Running", "containerStatuses": [task] }));
    let end = last_restart(&pod, "task").expect("it had ended");
    assert!(end.contains("more memory than its limit"), "{end}");
    assert_eq!(last_restart(&pod, "docker"), None);
}
