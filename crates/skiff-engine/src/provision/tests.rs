//! How long a launch waits for its pod, and what it says meanwhile. The clock is the test's own.

use std::io;
use std::sync::Mutex;

use serde_json::{Value, json};
use skiff_kube::ApiCause;
use tokio::time::advance;

use super::*;

/// Keeps what a launch says.
#[derive(Default)]
struct Said(Mutex<Vec<String>>);

impl Reporter for Said {
    fn event(&self, event: Event) {
        if let Event::Waiting(what) = event {
            self.0.lock().expect("nobody panics with it").push(what);
        }
    }

    fn log(&self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

impl Said {
    fn all(&self) -> Vec<String> {
        self.0.lock().expect("nobody panics with it").clone()
    }
}

fn pod(status: &Value) -> PodUpdate {
    let pod = json!({
        "metadata": { "name": "c-head", "uid": "this one" }, "spec": { "containers": [], "nodeName": "n" }, "status": status,
    });
    PodUpdate::Is(Box::new(
        serde_json::from_value(pod).expect("it is well-formed"),
    ))
}

fn unschedulable() -> PodUpdate {
    unscheduled("0/1 nodes are available: 1 Insufficient cpu.")
}

fn unscheduled(why: &str) -> PodUpdate {
    pod(&json!({ "phase": "Pending", "conditions": [{
        "type": "PodScheduled", "status": "False", "message": why,
    }] }))
}

fn task(state: &Value) -> PodUpdate {
    pod(&json!({ "phase": "Pending", "containerStatuses": [{
        "name": "task", "state": state, "image": "i:1", "imageID": "", "ready": false, "restartCount": 0,
    }] }))
}

fn waiting(reason: &str, message: &str) -> PodUpdate {
    task(&json!({ "waiting": { "reason": reason, "message": message } }))
}

fn news(reason: &str) -> PodNews {
    PodNews {
        pod_uid: "this one".to_owned(),
        reason: reason.to_owned(),
        message: format!("{reason} something"),
    }
}

fn left(wait: &Wait) -> Duration {
    wait.deadline().duration_since(Instant::now())
}

fn pod_trouble(wait: Wait) -> Diagnosis {
    match wait.too_late() {
        ProvisionError::Pod(diagnosis) => diagnosis,
        other => panic!("not the pod's own trouble: {other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_no_node_takes_is_borne_for_the_time_that_was_set() {
    let said = Said::default();
    let set = |seconds| Some(ProvisionTimeout::After(Duration::from_secs(seconds)));
    for (patience, expected) in [(None, SCHEDULING), (set(77), Duration::from_secs(77))] {
        let mut wait = Wait::new("c-head", patience);
        assert!(!wait.update(unschedulable(), &said).expect("it is borne"));
        advance(Duration::from_secs(3)).await;
        // The scheduler repeats itself; that is no new trouble.
        wait.update(unschedulable(), &said).expect("it is borne");
        assert_eq!(left(&wait) + Duration::from_secs(3), expected);
        let ProvisionError::NoRoom(diagnosis) = wait.too_late() else {
            panic!("not for want of room");
        };
        assert!(diagnosis.cause.contains("Insufficient cpu"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_volumes_are_being_made_is_borne_for_longer() {
    let said = Said::default();
    let mut wait = Wait::new("c-head", None);
    let why = "0/2 nodes are available: 2 pod has unbound immediate PersistentVolumeClaims.";
    wait.update(unscheduled(why), &said).expect("it is borne");
    assert_eq!(left(&wait), BINDING);
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_a_pod_is_waited_for_whatever_the_time() {
    let said = Said::default();
    let mut wait = Wait::new("c-head", Some(ProvisionTimeout::Forever));
    wait.update(unschedulable(), &said).expect("it is borne");
    advance(Duration::from_hours(48)).await;
    assert!(left(&wait) > Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_adds_a_node_gets_the_time_for_it() {
    let said = Said::default();
    let mut wait = Wait::new("c-head", None);
    wait.update(unschedulable(), &said).expect("it is borne");
    wait.news(&news("TriggeredScaleUp"), &said);
    assert_eq!(left(&wait), SCALE_UP);
    wait.update(unschedulable(), &said).expect("it is borne");
    assert_eq!(left(&wait), SCALE_UP);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_found_a_node_after_all_is_no_longer_in_trouble() {
    let said = Said::default();
    let mut wait = Wait::new("c-head", None);
    wait.update(unschedulable(), &said).expect("it is borne");
    wait.update(waiting("ContainerCreating", ""), &said)
        .expect("it starts");
    assert_eq!(left(&wait), NO_PROGRESS);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_keeps_its_first_cause_and_its_deadline() {
    let said = Said::default();
    let mut wait = Wait::new("c-head", None);
    let refused = || waiting("ErrImagePull", "dial tcp 192.0.2.1:443: connection refused");
    wait.update(refused(), &said).expect("it may be a hiccup");
    let deadline = wait.deadline();
    advance(Duration::from_secs(5)).await;
    wait.update(
        waiting("ImagePullBackOff", "Back-off pulling image \"i:1\""),
        &said,
    )
    .expect("it is borne");
    wait.update(waiting("ContainerCreating", ""), &said)
        .expect("it is borne");
    wait.update(refused(), &said).expect("it is borne");
    assert_eq!(wait.deadline(), deadline);
    assert!(pod_trouble(wait).cause.contains("connection refused"));
}

#[tokio::test(start_paused = true)]
async fn a_long_pull_is_progress_and_a_start_that_hangs_is_not() {
    let said = Said::default();
    let mut wait = Wait::new("c-head", None);
    wait.update(waiting("ContainerCreating", ""), &said)
        .expect("it starts");
    wait.news(&news("Pulling"), &said);
    advance(NO_PROGRESS * 3).await;
    assert!(left(&wait) > Duration::ZERO);
    wait.news(&news("Pulled"), &said);
    assert_eq!(left(&wait), Duration::ZERO);
    assert!(
        matches!(wait.too_late(), ProvisionError::NoProgress { last, .. } if last == "pulling something")
    );
}

#[tokio::test]
async fn what_happened_to_an_older_pod_of_the_name_is_not_told() {
    let said = Said::default();
    let mut wait = Wait::new("c-head", None);
    wait.update(waiting("ContainerCreating", ""), &said)
        .expect("it starts");
    let before = said.all();
    let old = PodNews {
        pod_uid: "an older one".to_owned(),
        ..news("FailedMount")
    };
    wait.news(&old, &said);
    assert_eq!(said.all(), before);
    wait.news(&news("FailedMount"), &said);
    assert_ne!(said.all(), before);
}

#[tokio::test]
async fn a_pod_that_was_seen_and_is_gone_ends_the_wait() {
    let said = Said::default();
    let mut wait = Wait::new("c-head", None);
    assert!(
        !wait
            .update(PodUpdate::Gone, &said)
            .expect("the watch was faster than the pod")
    );
    wait.update(waiting("ContainerCreating", ""), &said)
        .expect("it starts");
    assert!(matches!(
        wait.update(PodUpdate::Gone, &said),
        Err(ProvisionError::Gone { .. })
    ));
}

#[tokio::test]
async fn a_broken_watch_is_borne_and_a_forbidden_one_is_not() {
    let said = Said::default();
    let mut wait = Wait::new("c-head", None);
    let error = |cause| {
        PodUpdate::Interrupted(ApiError {
            action: "watch",
            object: "pod team/c-head".to_owned(),
            cause,
        })
    };
    let (server, reason) = (
        "https://example".to_owned(),
        "connection refused".to_owned(),
    );
    let unreachable = error(ApiCause::Unreachable { server, reason });
    assert!(!wait.update(unreachable, &said).expect("it comes back"));
    let forbidden = error(ApiCause::Forbidden("no".to_owned()));
    assert!(matches!(
        wait.update(forbidden, &said),
        Err(ProvisionError::Api(_))
    ));
}

#[tokio::test]
async fn each_step_is_told_once() {
    let said = Said::default();
    let mut wait = Wait::new("c-head", None);
    for _ in 0..3 {
        wait.update(unschedulable(), &said).expect("it is borne");
    }
    for _ in 0..3 {
        wait.update(waiting("ContainerCreating", ""), &said)
            .expect("it starts");
    }
    let running = json!({ "running": {} });
    assert!(wait.update(task(&running), &said).expect("it runs"));
    let cause = "no node can take it: 0/1 nodes are available: 1 Insufficient cpu";
    assert_eq!(said.all(), [cause, "starting task (i:1)"]);
}
