//! `skiff volumes` without a cluster, or with one that answers as it is told.

use serde_json::{Value, json};
use skiff_test::Finished;
use skiff_test::fake_api::Answer;

use crate::sandbox::{Sandbox, against, assert_finished, list};

const CLAIMS: &str = "GET /api/v1/namespaces/team/persistentvolumeclaims";

/// Runs a command in a folder with this file of a volume.
async fn with_file(text: &str, command: &[&str]) -> Finished {
    let sandbox = Sandbox::new();
    sandbox.write("volume.yaml", text);
    sandbox.skiff().run(command).await
}

/// A claim that is a volume and has come this far.
fn volume(name: &str, phase: &str) -> Value {
    json!({
        "metadata": {
            "name": name, "uid": name, "labels": { "skiff.dev/volume": name },
            "annotations": { "skiff.dev/user-name": "tester" },
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
            "resources": { "requests": { "storage": "20Gi" } },
        },
        "status": { "phase": phase, "capacity": { "storage": "10Gi" } },
    })
}

fn volumes() -> Vec<Answer> {
    let pod = json!({
        "metadata": { "name": "dev-1a2b3c4d-head", "annotations": { "skiff.dev/name": "dev" } },
        "spec": { "containers": [], "volumes": [{ "name": "d", "persistentVolumeClaim": { "claimName": "grows" } }] },
        "status": { "phase": "Running" },
    });
    let event = json!({
        "metadata": {}, "involvedObject": { "uid": "stuck" }, "type": "Warning", "reason": "ProvisioningFailed",
        "message": "storageclass.storage.k8s.io \"fast\" not found", "lastTimestamp": "2026-01-01T00:00:00Z",
    });
    vec![
        Answer::object(
            CLAIMS,
            &list(
                "PersistentVolumeClaimList",
                &[volume("stuck", "Pending"), volume("grows", "Bound")],
            ),
        ),
        Answer::object("GET /api/v1/namespaces/team/pods", &list("PodList", &[pod])),
        Answer::object(
            "GET /api/v1/namespaces/team/events",
            &list("EventList", &[event]),
        ),
    ]
}

#[tokio::test]
async fn all_that_is_wrong_with_a_file_is_told_with_its_lines() {
    let text = "name: My Cache\ntype: k8s-hostpath\nsize: 10Mi\nconfig: {storage_class: fast}\n";
    assert_finished!(with_file(text, &["volumes", "apply", "volume.yaml"]).await);
}

#[tokio::test]
async fn what_flags_do_not_say_is_told_with_the_flags() {
    assert_finished!(with_file("", &["volumes", "apply", "-n", "data", "--size", "huge"]).await);
}

#[tokio::test]
async fn a_file_or_a_name_is_needed() {
    let finished = with_file("", &["volumes", "apply", "--size", "10Gi"]).await;
    finished.code(2).notes("<FILE>");
}

#[tokio::test]
async fn the_table_tells_who_uses_a_volume_and_what_is_wrong_with_it() {
    assert_finished!(against(volumes(), &["volumes", "ls", "-v"]).await);
}

#[tokio::test]
async fn pods_that_may_not_be_read_are_unknown() {
    let answers = vec![
        Answer::object(
            CLAIMS,
            &list("PersistentVolumeClaimList", &[volume("data", "Bound")]),
        ),
        Answer::refusal(
            "GET /api/v1/namespaces/team/pods",
            403,
            "Forbidden",
            "pods is forbidden",
        ),
    ];
    let finished = against(answers, &["volumes", "ls", "-o", "json"])
        .await
        .code(0);
    assert_eq!(finished.json()[0]["used_by"], Value::Null);
    assert_eq!(finished.json()[0]["status"], "READY");
}

#[tokio::test]
async fn without_a_default_class_the_classes_that_there_are_are_told() {
    let class = json!({ "metadata": { "name": "fast" }, "provisioner": "ebs.csi.aws.com" });
    let answers = vec![
        Answer::refusal(&format!("{CLAIMS}/data"), 404, "NotFound", "not found"),
        Answer::object(CLAIMS, &list("PersistentVolumeClaimList", &[])),
        Answer::object(
            "GET /apis/storage.k8s.io/v1/storageclasses",
            &list("StorageClassList", &[class]),
        ),
    ];
    let command = [
        "volumes", "apply", "-y", "-n", "data", "--type", "k8s-pvc", "--size", "1Gi",
    ];
    assert_finished!(against(answers, &command).await);
}
