//! `enable_docker` on its way to a pod: what is shown of it, and what is refused before anything is created.

use serde_json::{Value, json};
use skiff_test::fake_api::{Answer, FakeApi};

use crate::sandbox::{Sandbox, assert_finished};
use crate::server::small_cluster;

const CLAIMS: &str = "GET /api/v1/namespaces/team/persistentvolumeclaims";
const TASK: &str = "\
resources: {cpus: 1, memory: 1}
config: {kubernetes: {enable_docker: {mode: ALL, cache_volume: layers}}}
run: docker build .
";

fn claims(items: &[Value]) -> Answer {
    let list = json!({
        "kind": "PersistentVolumeClaimList", "apiVersion": "v1", "metadata": {}, "items": items,
    });
    Answer::object(CLAIMS, &list)
}

fn claim(provisioner: &str) -> Value {
    json!({
        "metadata": {
            "name": "layers-claim",
            "labels": { "skiff.dev/volume": "layers" },
            "annotations": { "volume.kubernetes.io/storage-provisioner": provisioner },
        },
        "spec": { "accessModes": ["ReadWriteOnce"] },
        "status": { "phase": "Bound" },
    })
}

/// Runs a command on the task against a small cluster with these answers; nothing may be created.
async fn against(answers: Vec<Answer>, task: &str, words: &[&str]) -> skiff_test::Finished {
    let mut all = small_cluster();
    all.extend(answers);
    let api = FakeApi::start(all).await.expect("a port is free");
    let sandbox = Sandbox::new();
    sandbox.kubeconfig("http", api.address);
    sandbox.write("task.yaml", task);
    let finished = sandbox.skiff().run(words).await;
    let requests = api.requests();
    let reads = requests.iter().all(|line| line.starts_with("GET "));
    assert!(reads, "{requests:?}");
    finished
}

const LAUNCH: [&str; 5] = ["launch", "-y", "-c", "dev", "task.yaml"];
const RENDER: [&str; 6] = ["render", "--context", "there", "-c", "dev", "task.yaml"];

#[tokio::test]
async fn a_cache_volume_that_is_not_there_is_refused() {
    assert_finished!(against(vec![claims(&[])], TASK, &LAUNCH).await);
}

#[tokio::test]
async fn a_cache_volume_on_network_storage_is_refused() {
    let answers = vec![claims(&[claim("nfs.csi.k8s.io")])];
    assert_finished!(against(answers, TASK, &LAUNCH).await);
}

#[tokio::test]
async fn a_cache_volume_of_one_node_is_refused_to_several() {
    let answers = vec![claims(&[claim("ebs.csi.aws.com")])];
    let task = format!("num_nodes: 2\n{TASK}");
    assert_finished!(against(answers, &task, &LAUNCH).await);
}

#[tokio::test]
async fn a_cache_volume_is_mounted_by_its_claim() {
    let answers = vec![claims(&[claim("ebs.csi.aws.com")])];
    let finished = against(answers, TASK, &RENDER).await.code(0);
    finished
        .says("claimName: layers-claim")
        .says("subPathExpr: skiff/docker/rank-$(SKIFF_RANK)");
}

#[tokio::test]
async fn a_cache_volume_that_may_not_be_looked_at_is_taken_at_its_name() {
    let answers = vec![Answer::refusal(CLAIMS, 403, "Forbidden", "forbidden")];
    let finished = against(answers, TASK, &RENDER).await.code(0);
    finished.says("claimName: layers\n");
}

#[tokio::test]
async fn disks_that_nobody_would_make_are_refused() {
    let class = |provisioner: &str| {
        let class = json!({
            "metadata": {
                "name": "standard",
                "annotations": { "storageclass.kubernetes.io/is-default-class": "true" },
            },
            "provisioner": provisioner,
        });
        Answer::object(
            "GET /apis/storage.k8s.io/v1/storageclasses",
            &json!({
                "kind": "StorageClassList", "apiVersion": "storage.k8s.io/v1", "metadata": {},
                "items": [class],
            }),
        )
    };
    let task = "\
resources: {cpus: 1, memory: 1}
config: {kubernetes: {enable_docker: {mode: ALL, storage: {kind: block, size: 20Gi}}}}
run: docker info
";
    let finished = against(vec![class("ebs.csi.aws.com")], task, &RENDER).await;
    finished.code(0).says("volumeMode: Block");
    let answers = vec![class("rancher.io/local-path")];
    assert_finished!(against(answers, task, &LAUNCH).await);
}

#[tokio::test]
async fn a_runtime_class_of_kata_is_known_by_its_handler() {
    let class = json!({
        "kind": "RuntimeClass", "apiVersion": "node.k8s.io/v1",
        "metadata": { "name": "isolated" }, "handler": "kata-qemu",
    });
    let path = "GET /apis/node.k8s.io/v1/runtimeclasses/isolated";
    let task = "\
resources: {cpus: 1, memory: 1}
config: {kubernetes: {enable_docker: true, pod_config: {spec: {runtimeClassName: isolated}}}}
run: docker info
";
    let with = against(vec![Answer::object(path, &class)], task, &RENDER).await;
    with.code(0).says("memory: \"2147483648\"");
    let unknown = vec![Answer::refusal(path, 403, "Forbidden", "forbidden")];
    let without = against(unknown, task, &RENDER).await.code(0);
    without.never_says("limits:");
    assert_finished!(against(Vec::new(), task, &LAUNCH).await);
}

#[tokio::test]
async fn all_that_is_wrong_is_told_with_its_place() {
    let task = "\
config:
  kubernetes:
    enable_docker:
      mode: ALL
      storage: {kind: memory, size: 4Gi}
      cache_volume: layers
      resources:
        limits: {memory: 4GB}
        requets: {cpu: 1}
      registry_mirrors: [mirror.gcr.io]
      address_pools: [{base: 10.200.0.0/24, size: 16}]
run: docker info
";
    assert_finished!(against(Vec::new(), task, &RENDER).await);
}

#[tokio::test]
async fn rendering_shows_what_the_sidecar_is_told() {
    let task = "\
resources: {cpus: 1, memory: 1}
config:
  kubernetes:
    enable_docker: {mode: all, image: 'docker:28.5-dind', mtu: 1400, resources: {limits: {memory: 2Gi}}}
run: docker info
";
    let flag = [
        "--config",
        "kubernetes.enable_docker.storage={kind: loop, size: 20Gi}",
    ];
    let words: Vec<&str> = RENDER.into_iter().chain(flag).collect();
    let finished = against(Vec::new(), task, &words).await.code(0);
    finished
        .says("image: docker:28.5-dind")
        .says(r#"{\"storage\":\"loop\",\"storage_bytes\":21474836480,\"mtu\":1400}"#)
        .says("ephemeral-storage: \"21474836480\"");
}
