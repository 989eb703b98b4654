//! Volumes of a local cluster's default storage class.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use skiff_test::Namespace;
use skiff_test::bare::{ask, idle, make, start};
use skiff_test::namespace::with_namespace;
use tokio::time::timeout;

/// How long the cluster's controllers are waited for.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The nodes' names, sorted.
pub(crate) async fn node_names(namespace: &Namespace) -> Vec<String> {
    let nodes = Api::<Node>::all(namespace.client.clone());
    let nodes = nodes.list(&ListParams::default()).await;
    let nodes = nodes.expect("the administrator may list nodes");
    nodes.iter().map(ResourceExt::name_any).collect()
}

async fn claim(namespace: &Namespace, name: &str, changes: &[(&str, Value)]) {
    let mut spec = BTreeMap::from([
        ("accessModes", json!(["ReadWriteOnce"])),
        ("resources", json!({"requests": {"storage": "1Gi"}})),
    ]);
    spec.extend(changes.iter().cloned());
    let claim = json!({"metadata": {"name": name}, "spec": spec});
    Box::pin(make::<PersistentVolumeClaim>(namespace, claim)).await;
}

/// A pod of an ordinary user that has a claim at `/home/data`, on one node if it is named.
fn user_of(claim: &str, pod: &str, node: Option<&str>) -> Value {
    let mut spec = json!({
        "containers": [{"volumeMounts": [{"name": "data", "mountPath": "/home/data"}]}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
        "securityContext": {"runAsUser": 1000},
    });
    if let Some(node) = node {
        spec["nodeSelector"] = json!({"kubernetes.io/hostname": node});
    }
    idle(pod, &json!({"spec": spec}))
}

/// The volume that a claim is bound to, and its folder.
async fn volume_of(namespace: &Namespace, claim: &str) -> (String, PathBuf) {
    let claim = namespace.api::<PersistentVolumeClaim>().get(claim).await;
    let spec = claim.expect("the claim is there").spec;
    let name = spec.and_then(|spec| spec.volume_name);
    let name = name.expect("a claim that a pod uses is bound");
    let volumes = Api::<PersistentVolume>::all(namespace.client.clone());
    let volume = volumes.get(&name).await.expect("the volume is there");
    let source = volume.spec.and_then(|spec| spec.host_path);
    (name, source.expect("it is a folder").path.into())
}

async fn delete_with_its_pod(namespace: &Namespace, claim: &str, pod: &str) {
    let at_once = DeleteParams::default().grace_period(0);
    let deleted = namespace.api::<Pod>().delete(pod, &at_once).await;
    deleted.expect("the pod is there");
    let claims = namespace.api::<PersistentVolumeClaim>();
    let deleted = claims.delete(claim, &DeleteParams::default()).await;
    deleted.expect("the claim is there");
}

async fn wait_for_volume(
    namespace: &Namespace,
    name: &str,
    condition: impl Fn(Option<&PersistentVolume>) -> bool,
) {
    let volumes = Api::<PersistentVolume>::all(namespace.client.clone());
    let waited = timeout(PATIENCE, await_condition(volumes, name, condition)).await;
    waited
        .expect("the volume comes to this in time")
        .expect("volumes can be watched");
}

#[tokio::test]
async fn a_claim_without_a_class_gets_a_folder_that_outlives_pods_and_goes_with_it() {
    with_namespace(async |namespace| {
        let nodes = node_names(namespace).await;
        let last = nodes.last().expect("there is a node");
        claim(namespace, "home", &[]).await;
        start(namespace, user_of("home", "first", Some(last))).await;
        ask(namespace, "first", "echo kept >/home/data/file").await;
        let (volume, folder) = volume_of(namespace, "home").await;
        let cluster = namespace
            .kubernetes
            .local_folder()
            .expect("a local cluster");
        assert!(
            folder.starts_with(&cluster),
            "{} is elsewhere",
            folder.display()
        );

        // The second pod is not told where to go: the volume says so.
        let at_once = DeleteParams::default().grace_period(0);
        let deleted = namespace.api::<Pod>().delete("first", &at_once).await;
        deleted.expect("the pod is there");
        let second = start(namespace, user_of("home", "second", None)).await;
        let node = second.spec.and_then(|spec| spec.node_name);
        assert_eq!(node.as_ref(), Some(last));
        assert_eq!(
            ask(namespace, "second", "cat /home/data/file").await,
            "kept"
        );

        delete_with_its_pod(namespace, "home", "second").await;
        Box::pin(wait_for_volume(namespace, &volume, |volume| {
            volume.is_none()
        }))
        .await;
        assert!(!folder.exists(), "{} is left", folder.display());
    })
    .await;
}

#[tokio::test]
async fn a_class_that_retains_keeps_the_folder() {
    with_namespace(async |namespace| {
        let classes = Api::<StorageClass>::all(namespace.client.clone());
        let class = json!({
            "metadata": {"name": namespace.name}, "provisioner": "skiff.dev/host-path",
            "reclaimPolicy": "Retain", "volumeBindingMode": "WaitForFirstConsumer",
        });
        let class = serde_json::from_value(class).expect("a class");
        let made = classes.create(&PostParams::default(), &class).await;
        made.expect("the administrator may make classes");
        let many = [
            ("storageClassName", json!(namespace.name)),
            ("accessModes", json!(["ReadWriteMany", "ReadOnlyMany"])),
        ];
        claim(namespace, "kept", &many).await;
        start(namespace, user_of("kept", "user", None)).await;
        ask(namespace, "user", "echo kept >/home/data/file").await;
        let (volume, folder) = volume_of(namespace, "kept").await;
        delete_with_its_pod(namespace, "kept", "user").await;
        let released = |volume: Option<&PersistentVolume>| {
            let status = volume.and_then(|volume| volume.status.as_ref());
            status.and_then(|status| status.phase.as_deref()) == Some("Released")
        };
        wait_for_volume(namespace, &volume, released).await;
        assert_eq!(read(&folder.join("file")), "kept\n");

        let volumes = Api::<PersistentVolume>::all(namespace.client.clone());
        let _ = volumes.delete(&volume, &DeleteParams::default()).await;
        let _ = classes
            .delete(&namespace.name, &DeleteParams::default())
            .await;
        std::fs::remove_dir_all(folder).expect("the test runs as root");
    })
    .await;
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

#[tokio::test]
async fn a_claim_that_a_folder_cannot_meet_says_so_in_an_event() {
    with_namespace(async |namespace| {
        claim(namespace, "block", &[("volumeMode", json!("Block"))]).await;
        let spec = json!({
            "containers": [{"volumeDevices": [{"name": "data", "devicePath": "/dev/data"}]}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "block"}}],
        });
        make::<Pod>(namespace, idle("user", &json!({"spec": spec}))).await;
        let is_told = || async {
            let events = namespace.api::<Event>().list(&ListParams::default()).await;
            let events = events.expect("events can be listed");
            events.iter().any(|event| {
                event.reason.as_deref() == Some("ProvisioningFailed")
                    && event
                        .message
                        .as_deref()
                        .is_some_and(|text| text.contains("block devices"))
            })
        };
        let told = timeout(PATIENCE, async {
            let mut pause = tokio::time::interval(Duration::from_millis(100));
            while !is_told().await {
                pause.tick().await;
            }
        });
        told.await.expect("an event tells why there is no volume");
    })
    .await;
}
