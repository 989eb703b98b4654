//! Where Docker's data lies in a pod: found by trying, forced, and kept from filling.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};
use skiff_test::Namespace;
use skiff_test::bare::make;
use skiff_test::host::NodeMount;
use skiff_test::namespace::with_namespace;
use tokio::time::timeout;

use crate::volumes::node_names;

/// Makes an image of the pod's static busybox: nothing needs to be pulled.
pub(crate) const BOX: &str =
    "tar -ch -C $(dirname $(command -v busybox)) busybox | docker import - box >/dev/null";
/// How long a condition in a pod is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A task with Docker that launches one of [`BOX`] and runs this. Docker's data lies on the volume, if one is given.
pub(crate) fn task(docker: &Value, volume: Option<&Value>, run: &str) -> String {
    let mut spec = json!({});
    if let Some(source) = volume {
        let mut volume = json!({"name": "docker-data", "emptyDir": null});
        let fields = source.as_object().expect("a volume's source");
        volume
            .as_object_mut()
            .expect("a mapping")
            .extend(fields.clone());
        spec = json!({"volumes": [volume]});
    }
    let kubernetes = json!({"enable_docker": docker, "pod_config": {"spec": spec}});
    json!({"config": {"kubernetes": kubernetes}, "setup": BOX, "run": run}).to_string()
}

/// What is known of Docker on a cluster's head.
pub(crate) async fn facts(namespace: &Namespace, cluster: &str) -> Value {
    let words = ["status", "-v", cluster, "-o", "json"];
    let status = namespace.skiff().run(&words).await.code(0).json();
    status[0]["nodes"][0]["docker"]["facts"].clone()
}

/// The files behind the loop devices of this machine.
fn loop_files() -> Vec<String> {
    let disks = fs::read_dir("/sys/block")
        .expect("this machine is the node")
        .flatten();
    disks
        .filter_map(|disk| fs::read_to_string(disk.path().join("loop/backing_file")).ok())
        .collect()
}

#[tokio::test]
async fn f1_a_volume_that_takes_no_overlays_as_virtiofs_gets_a_disk_image() {
    with_namespace(async |namespace| {
        let fuse = NodeMount::fuse(namespace);
        let volume = json!({"hostPath": {"path": fuse.path()}});
        let run = "docker run --rm --network none box /busybox echo from within";
        namespace.write("task.yaml", &task(&json!(true), Some(&volume), run));
        let launched = namespace.launch("c", &["task.yaml"]).await.code(0);
        launched.says("from within");

        let status = namespace.skiff().run(&["status", "-v"]).await.code(0);
        status
            .says("on FUSE (ext4)")
            .says("c head does not use the volume on FUSE: an overlay cannot be mounted: Invalid argument");
        let known = facts(namespace, "c").await;
        assert_eq!(known["driver"], "overlay2", "{known}");
        let image = fs::metadata(fuse.source().join(".skiff-disk.img")).expect("the image is there");
        assert!(image.len() > 1 << 30, "it takes nearly all that is free");
        let blocks = std::os::unix::fs::MetadataExt::blocks(&image);
        assert!(blocks * 512 < 1 << 30, "it has holes: {blocks}");

        // The daemon dies, its container is started again, and the image is the same.
        namespace.inside_of("c", "docker", "kill -9 $(cat /run/docker.pid)").await;
        let again = "until docker image inspect box >/dev/null 2>&1; do sleep 0.2; done; \
            docker run --rm --network none box /busybox echo still there";
        let finished = namespace.skiff().run(&["exec", "c", again]).await;
        finished.code(0).says("still there");

        namespace.skiff().run(&["down", "-y", "c"]).await.code(0);
        let own = |file: &String| file.contains(".skiff-disk.img");
        // Other tests have images too, but not on this file system.
        let gone = timeout(PATIENCE, async {
            let mut pause = tokio::time::interval(Duration::from_millis(200));
            while fuse.is_busy() {
                pause.tick().await;
            }
        });
        gone.await.unwrap_or_else(|_| {
            let left: Vec<String> = loop_files().into_iter().filter(own).collect();
            panic!("a loop device is left among {left:?}")
        });
    })
    .await;
}

/// Writes more than there is room for, which fails in the container alone.
async fn fills(namespace: &Namespace, docker: &Value) {
    let run = "docker run --rm --network none box /busybox dd if=/dev/zero of=/big bs=1M count=600 && exit 9; \
        docker run --rm --network none box /busybox echo the pod goes on";
    namespace.write("task.yaml", &task(docker, None, run));
    let launched = namespace.launch("c", &["task.yaml"]).await.code(0);
    launched
        .says("No space left on device")
        .says("the pod goes on");
}

#[tokio::test]
async fn memory_that_is_asked_for_is_what_the_data_lies_on_and_bounds_it() {
    with_namespace(async |namespace| {
        let docker = json!({"mode": "ALL", "storage": {"kind": "memory", "size": "512Mi"}});
        fills(namespace, &docker).await;
        let known = facts(namespace, "c").await;
        assert_eq!(known["storage"], "512 MiB of memory (tmpfs)", "{known}");
        assert_eq!(known["disk"]["size"], 512 << 20, "{known}");
    })
    .await;
}

#[tokio::test]
async fn c16_a_disk_image_of_a_size_is_full_before_the_pod_is_evicted() {
    with_namespace(async |namespace| {
        let docker = json!({"mode": "ALL", "storage": {"kind": "loop", "size": "512Mi"}});
        fills(namespace, &docker).await;
        let status = namespace.skiff().run(&["status", "-v"]).await.code(0);
        status.says("a disk image of 496 MiB on ");
    })
    .await;
}

#[tokio::test]
async fn c16_unused_build_cache_is_removed_before_the_disk_is_full() {
    with_namespace(async |namespace| {
        let docker = json!({"mode": "ALL", "storage": {"kind": "loop", "size": "1Gi"}});
        let big = "dd if=/dev/urandom of=/big bs=1M count=420";
        let file = format!("FROM box\\nARG n\\nRUN [\"/busybox\", \"sh\", \"-c\", \"{big}; echo $n\"]\\n");
        let run = format!(
            "mkdir -p /tmp/b && cd /tmp/b && printf '{file}' > Dockerfile && docker tag box kept && \
             for n in 1 2; do docker build -q --build-arg n=$n . || exit 9; done; docker images"
        );
        namespace.write("task.yaml", &task(&docker, None, &run));
        namespace.launch("c", &["task.yaml"]).await.code(0);
        let told = async {
            let mut pause = tokio::time::interval(Duration::from_millis(500));
            while !namespace.log_of("c", "docker").await.contains("unnamed images left") {
                pause.tick().await;
            }
        };
        let told = timeout(PATIENCE, told).await;
        told.expect("the sidecar says that it has made room");
        let look = "docker images --format '{{.Repository}}'; docker run --rm --network none kept /busybox echo kept runs";
        let left = namespace.skiff().run(&["exec", "c", look]).await.code(0);
        left.says("kept runs");
        let known = facts(namespace, "c").await;
        let used = known["disk"]["used"].as_u64().unwrap_or(u64::MAX);
        assert!(used < 500 << 20, "{known}");
    })
    .await;
}

/// A disk of the node: a loop device over a file, which is gone after the test.
struct Disk {
    device: PathBuf,
}

impl Disk {
    fn new(file: &Path) -> Self {
        fs::File::create(file)
            .and_then(|file| file.set_len(1 << 30))
            .expect("a sparse file");
        let words = ["--find", "--show", &file.to_string_lossy()];
        let made = std::process::Command::new("losetup").args(words).output();
        let path = made.expect("losetup is part of util-linux").stdout;
        Self {
            device: String::from_utf8(path).expect("a path").trim().into(),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let words = ["--detach", &*self.device.to_string_lossy()];
        let _ = std::process::Command::new("losetup").args(words).status();
    }
}

#[tokio::test]
async fn f2_a_block_device_of_the_pod_is_formatted_once_and_holds_the_data() {
    with_namespace(async |namespace| {
        let disk = Disk::new(&namespace.home().join("disk"));
        let volume = block_volume(namespace, &disk.device).await;
        let fuse = NodeMount::fuse(namespace);
        let mut task: Value = serde_json::from_str(&task(
            &json!(true),
            Some(&json!({"hostPath": {"path": fuse.path()}})),
            "docker run --rm --network none box /busybox echo from within",
        ))
        .expect("JSON");
        let spec = &mut task["config"]["kubernetes"]["pod_config"]["spec"];
        let disk_volume = json!({"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}});
        spec["volumes"].as_array_mut().expect("a list").push(disk_volume);
        spec["containers"] = json!([{
            "name": "docker", "volumeDevices": [{"name": "disk", "devicePath": "/dev/skiff-docker"}],
        }]);
        namespace.write("task.yaml", &task.to_string());
        for _ in 0..2 {
            let launched = namespace.launch("c", &["task.yaml"]).await.code(0);
            launched.says("from within");
            let known = facts(namespace, "c").await;
            assert_eq!(known["storage"], "a block device (ext4)", "{known}");
            namespace.skiff().run(&["down", "-y", "c"]).await.code(0);
        }
        let volumes = Api::<PersistentVolume>::all(namespace.client.clone());
        let _ = volumes.delete(&volume, &DeleteParams::default()).await;
    })
    .await;
}

/// A volume that is a device of the first node, and a claim `disk` to it. `storage: block` would have the default class
/// make one, and that of a local cluster makes folders only.
async fn block_volume(namespace: &Namespace, device: &Path) -> String {
    let node = &node_names(namespace).await[0];
    let terms = json!([{"matchExpressions": [
        {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]},
    ]}]);
    let volume: PersistentVolume = serde_json::from_value(json!({
        "metadata": {"name": namespace.name},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
            "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "",
            "volumeMode": "Block", "local": {"path": device},
            "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
        },
    }))
    .expect("it is well-formed");
    let volumes = Api::<PersistentVolume>::all(namespace.client.clone());
    let made = volumes.create(&PostParams::default(), &volume).await;
    made.expect("the administrator may");
    let claim = json!({"metadata": {"name": "disk"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeMode": "Block",
        "volumeName": namespace.name, "resources": {"requests": {"storage": "1Gi"}},
    }});
    make::<PersistentVolumeClaim>(namespace, claim).await;
    namespace.name.clone()
}
