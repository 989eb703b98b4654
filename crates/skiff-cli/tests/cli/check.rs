//! `skiff check docker` against API servers that answer as they are told.

use serde_json::{Value, json};
use skiff_test::fake_api::Answer;

use crate::sandbox::{against, assert_finished, list};

const PODS: &str = "POST /api/v1/namespaces/team/pods";
const REVIEWS: &str = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const NAMESPACE: &str = "GET /api/v1/namespaces/team";

fn review(allowed: bool) -> Value {
    json!({ "metadata": {}, "spec": {}, "status": { "allowed": allowed } })
}

fn version() -> Answer {
    Answer::object(
        "GET /version",
        &json!({
            "major": "1", "minor": "31", "gitVersion": "v1.31.2", "gitCommit": "", "gitTreeState": "",
            "buildDate": "", "goVersion": "", "compiler": "", "platform": "linux/amd64",
        }),
    )
}

fn node(name: &str, system: &str, kernel: &str) -> Value {
    let amounts = json!({ "cpu": "4", "memory": "8Gi", "ephemeral-storage": "50Gi" });
    json!({
        "metadata": { "name": name },
        "status": {
            "capacity": amounts, "allocatable": amounts,
            "conditions": [{ "type": "Ready", "status": "True" }],
            "nodeInfo": {
                "operatingSystem": "linux", "architecture": "amd64", "kubeletVersion": "v1.31.1",
                "bootID": "", "containerRuntimeVersion": "containerd://1.7.24", "kernelVersion": kernel,
                "kubeProxyVersion": "", "machineID": "", "osImage": system, "systemUUID": "",
            },
        },
    })
}

fn debian() -> Value {
    node("a", "Debian GNU/Linux 12 (bookworm)", "6.1.0-28-amd64")
}

fn nodes(nodes: &[Value]) -> Answer {
    Answer::object("GET /api/v1/nodes", &list("NodeList", nodes))
}

fn namespace(labels: &Value) -> Answer {
    Answer::object(
        NAMESPACE,
        &json!({ "metadata": { "name": "team", "labels": labels } }),
    )
}

fn admitted() -> Answer {
    Answer::object(PODS, &json!({ "metadata": { "name": "head" } }))
}

fn storage() -> Answer {
    let class = |name: &str, provisioner: &str| json!({ "metadata": { "name": name }, "provisioner": provisioner });
    let classes = [
        class("gp3", "ebs.csi.aws.com"),
        class("shared", "efs.csi.aws.com"),
    ];
    let path = "GET /apis/storage.k8s.io/v1/storageclasses";
    Answer::object(path, &list("StorageClassList", &classes))
}

fn runtimes(items: &[Value]) -> Answer {
    let path = "GET /apis/node.k8s.io/v1/runtimeclasses";
    Answer::object(path, &list("RuntimeClassList", items))
}

/// A namespace whose Pod Security refuses a pod in these words.
fn strict(words: &str) -> Vec<Answer> {
    let kata = json!({ "metadata": { "name": "kata" }, "handler": "kata-qemu" });
    vec![
        version(),
        nodes(&[
            node("a", "Bottlerocket OS 1.26.1 (aws-k8s-1.31)", "6.1.112"),
            node("b", "Amazon Linux 2", "5.10.226-214.880.amzn2.x86_64"),
        ]),
        Answer::object(REVIEWS, &review(true)),
        Answer::refusal(PODS, 403, "Forbidden", words),
        namespace(&json!({ "pod-security.kubernetes.io/enforce": "baseline" })),
        storage(),
        runtimes(&[kata]),
    ]
}

#[tokio::test]
async fn a_namespace_that_forbids_privileged_pods_is_told_with_every_reason() {
    let words = "pods \"skiff\" is forbidden: violates PodSecurity \"baseline:latest\": privileged \
                 (container \"docker\" must not set securityContext.privileged=true)";
    assert_finished!(against(strict(words), &["check", "docker", "ALL"]).await);
}

#[tokio::test]
async fn traps_of_nodes_are_told_for_the_mode_that_they_are_traps_of() {
    let words = "pods \"skiff\" is forbidden: violates PodSecurity \"baseline:latest\": seccompProfile \
                 (container \"buildkit\" must not set securityContext.seccompProfile.type to \"Unconfined\")";
    assert_finished!(against(strict(words), &["check", "docker", "build"]).await);
}

#[tokio::test]
async fn what_may_not_be_read_is_unknown_and_forbids_nothing() {
    let forbidden = |start: &str| Answer::refusal(start, 403, "Forbidden", "it is forbidden");
    let answers = vec![
        version(),
        Answer::object(REVIEWS, &review(true)),
        admitted(),
        forbidden("GET "),
    ];
    assert_finished!(against(answers, &["check", "docker", "all"]).await);
}

#[tokio::test]
async fn rights_that_are_missing_forbid_every_mode() {
    let answers = vec![
        version(),
        nodes(&[debian()]),
        Answer::object(REVIEWS, &review(false)),
        admitted(),
        namespace(&json!({})),
        storage(),
        runtimes(&[]),
    ];
    let finished = against(answers, &["check", "docker", "-o", "json"])
        .await
        .code(1);
    let found = finished.json();
    assert_eq!(found["modes"][0]["can_work"], false);
    assert_eq!(found["findings"][1]["check"], "rights");
    assert_eq!(found["findings"][1]["verdict"], "no");
    let reason = found["findings"][1]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("create pods/exec"), "{reason}");
}

#[tokio::test]
async fn a_policy_that_no_dry_run_reaches_is_unknown() {
    let words = "admission webhook \"policy.example\" does not support dry run";
    let answers = vec![
        version(),
        nodes(&[debian()]),
        Answer::object(REVIEWS, &review(true)),
        Answer::refusal(PODS, 400, "BadRequest", words),
        namespace(&json!({})),
        storage(),
        runtimes(&[]),
    ];
    let finished = against(answers, &["check", "docker", "ALL", "-o", "json"])
        .await
        .code(0);
    let found = finished.json();
    let findings = found["findings"].as_array().expect("a list");
    let pod = findings.iter().find(|finding| finding["check"] == "pod");
    assert_eq!(pod.expect("the pod was tried")["verdict"], "unknown");
}

#[tokio::test]
async fn a_cache_on_storage_over_the_network_is_refused_before_anything_runs() {
    let claim = json!({
        "metadata": {
            "name": "cache", "labels": { "skiff.dev/volume": "cache" },
            "annotations": { "volume.kubernetes.io/storage-provisioner": "efs.csi.aws.com" },
        },
        "spec": { "accessModes": ["ReadWriteMany"] }, "status": { "phase": "Bound" },
    });
    let claims = "GET /api/v1/namespaces/team/persistentvolumeclaims";
    let answers = vec![
        version(),
        nodes(&[debian()]),
        Answer::object(REVIEWS, &review(true)),
        admitted(),
        Answer::object(claims, &list("PersistentVolumeClaimList", &[claim])),
        namespace(&json!({})),
        runtimes(&[]),
    ];
    let cache = "kubernetes.enable_docker={mode: ALL, cache_volume: cache}";
    let finished = against(answers, &["check", "docker", "--config", cache])
        .await
        .code(1);
    finished.says("served by efs.csi.aws.com: it is NFS");
}
