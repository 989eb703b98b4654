//! Docker's data on a volume that outlives the pod: found again, never by two, never by another rank.

use std::path::Path;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};
use skiff_test::Namespace;
use skiff_test::bare::make;
use skiff_test::host::NodeMount;
use skiff_test::namespace::{small, with_namespace};

use crate::docker_storage::task;

/// A build whose step writes down when it has run.
const BUILD: &str = "mkdir -p /tmp/b && cd /tmp/b && \
    printf 'FROM box\\nRUN [\"/busybox\", \"sh\", \"-c\", \"date +%%s%%N > /when\"]\\n' > Dockerfile && \
    docker build -q -t built . && docker run --rm --network none built /busybox sed s/^/when=/ /when";

/// Makes a volume as users do.
async fn apply(namespace: &Namespace, name: &str) {
    let volume = format!(
        "name: {name}\ntype: k8s-pvc\ninfra: k8s\nsize: 1Gi\nconfig: {{access_mode: ReadWriteOnce}}\n"
    );
    namespace.write("volume.yaml", &volume);
    let words = ["volumes", "apply", "-y", "volume.yaml"];
    namespace.skiff().run(&words).await.code(0);
}

/// Docker with its data on a volume.
fn on_volume(name: &str) -> Value {
    json!({"mode": "ALL", "cache_volume": name})
}

/// What the step of [`BUILD`] has written.
fn when(output: &str) -> String {
    let at = output.find("when=").expect("the step has run once");
    let behind = output[at..].chars();
    behind
        .take_while(|letter| !letter.is_whitespace())
        .collect()
}

#[tokio::test]
async fn c17_a_build_after_down_and_launch_runs_no_step_again() {
    with_namespace(async |namespace| {
        apply(namespace, "cache").await;
        let leave = format!(
            "{BUILD} && docker run -d --name service --restart always --network none box /busybox sleep 1000"
        );
        let first = task(&on_volume("cache"), None, &leave);
        namespace.write("task.yaml", &first);
        let launched = namespace.launch("a", &["task.yaml"]).await.code(0);
        let built = when(&launched.stdout);
        namespace.skiff().run(&["down", "-y", "a"]).await.code(0);

        // Another cluster, without the setup that would make the image anew. The name of the container that the first
        // has left is free.
        let mut second: Value = serde_json::from_str(&first).expect("JSON");
        second["setup"] = Value::Null;
        namespace.write("task.yaml", &second.to_string());
        let launched = namespace.launch("b", &["task.yaml"]).await.code(0);
        assert_eq!(when(&launched.stdout), built, "the step ran again");
        let log = namespace.log_of("b", "docker").await;
        assert!(
            log.contains("removing 1 containers that an earlier pod left"),
            "{log}"
        );
    })
    .await;
}

#[tokio::test]
async fn c18_two_daemons_on_one_cache_volume() {
    with_namespace(async |namespace| {
        apply(namespace, "cache").await;
        namespace.write("task.yaml", &task(&on_volume("cache"), None, "echo one"));
        namespace.launch("first", &["task.yaml"]).await.code(0);
        let other = task(&on_volume("cache"), None, "echo not alone");
        namespace.write("task.yaml", &other);
        let second = namespace.launch("second", &["task.yaml"]).await.code(100);
        second
            .says("Docker did not become ready: the data in /var/lib/docker is in use by cluster first")
            .never_says("not alone");
        // The first has not noticed.
        let run = "docker run --rm --network none box /busybox echo unharmed";
        let first = namespace.skiff().run(&["exec", "first", run]).await;
        first.code(0).says("unharmed");

        // A holder that is gone holds nothing.
        let kill = "kill -9 $(cat /run/docker.pid)";
        namespace.inside_of("first", "docker", kill).await;
        let words = ["down", "-y", "first"];
        namespace.skiff().run(&words).await.code(0);
        let again = "until docker info >/dev/null 2>&1; do sleep 0.5; done; \
            docker run --rm --network none box /busybox echo taken over";
        let second = namespace.skiff().run(&["exec", "second", again]).await;
        second.code(0).says("taken over");
    })
    .await;
}

#[tokio::test]
async fn a_daemon_that_was_killed_leaves_data_that_the_next_can_use() {
    with_namespace(async |namespace| {
        apply(namespace, "cache").await;
        let run = "docker run -d --name half --network none box /busybox sleep 100000; echo begun";
        namespace.write("task.yaml", &task(&on_volume("cache"), None, run));
        namespace.launch("c", &["task.yaml"]).await.code(0);
        for kill in [
            "kill -9 $(cat /run/docker.pid)",
            "kill -9 $(pidof containerd)",
        ] {
            namespace.inside_of("c", "docker", kill).await;
            let again = "until docker image inspect box >/dev/null 2>&1; do sleep 0.2; done; \
                docker rm -f half; docker run -d --name half --network none box /busybox sleep 100000 && echo usable";
            let finished = namespace.skiff().run(&["exec", "c", again]).await;
            finished.code(0).says("usable");
        }
    })
    .await;
}

/// A volume named `cache` that is a folder of every node: who provides it, nobody can know.
struct Shared<'a> {
    namespace: &'a Namespace,
}

impl<'a> Shared<'a> {
    async fn new(namespace: &'a Namespace, folder: &Path) -> Self {
        let volume: PersistentVolume = serde_json::from_value(json!({
            "metadata": {"name": namespace.name},
            "spec": {
                "accessModes": ["ReadWriteMany"], "capacity": {"storage": "1Gi"},
                "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "",
                "hostPath": {"path": folder},
            },
        }))
        .expect("it is well-formed");
        let volumes = Api::<PersistentVolume>::all(namespace.client.clone());
        let made = volumes.create(&PostParams::default(), &volume).await;
        made.expect("the administrator may");
        let claim = json!({"metadata": {"name": "cache"}, "spec": {
            "accessModes": ["ReadWriteMany"], "storageClassName": "", "volumeName": namespace.name,
            "resources": {"requests": {"storage": "1Gi"}},
        }});
        make::<PersistentVolumeClaim>(namespace, claim).await;
        let words = ["volumes", "apply", "-y", "--type", "k8s-pvc", "-n", "cache"];
        let words = [&words[..], &["--use-existing"]].concat();
        namespace.skiff().run(&words).await.code(0);
        Self { namespace }
    }

    async fn delete(self) {
        let volumes = Api::<PersistentVolume>::all(self.namespace.client.clone());
        let at_once = DeleteParams::default();
        let deleted = volumes.delete(&self.namespace.name, &at_once).await;
        deleted.expect("the volume is there");
    }
}

#[tokio::test]
async fn a2_a_cache_volume_that_cannot_hold_layers_is_refused_with_what_to_use() {
    with_namespace(async |namespace| {
        let fuse = NodeMount::fuse(namespace);
        let shared = Shared::new(namespace, fuse.path()).await;
        namespace.write("task.yaml", &task(&on_volume("cache"), None, "echo never"));
        let launched = namespace.launch("c", &["task.yaml"]).await.code(100);
        launched
            .says(
                "the cache volume at /var/lib/docker is on FUSE, which cannot hold Docker's layers",
            )
            .says("take a volume of another storage class")
            .never_says("never\n");
        let left = fuse.source().join("skiff/docker/rank-0/.skiff-disk.img");
        assert!(
            !left.exists(),
            "nothing takes the volume's place in silence"
        );
        namespace.skiff().run(&["down", "-y", "c"]).await.code(0);
        shared.delete().await;
    })
    .await;
}

#[tokio::test]
async fn a3_every_rank_has_a_cache_of_its_own() {
    with_namespace(async |namespace| {
        let folder = namespace.home().join("shared");
        std::fs::create_dir(&folder).expect("a folder");
        let shared = Shared::new(namespace, &folder).await;
        let run = "docker tag box of-$SKYPILOT_NODE_RANK; docker images --format '{{.Repository}}' | sort | xargs echo images:";
        namespace.write("task.yaml", &task(&on_volume("cache"), None, run));
        let words = small("c", &["--num-nodes", "2", "task.yaml"]);
        let launched = namespace.skiff().run(&words).await.code(0);
        launched
            .says("images: box of-0\n")
            .says("images: box of-1\n");
        for rank in ["rank-0", "rank-1"] {
            let data = folder.join("skiff/docker").join(rank).join("overlay2");
            assert!(data.is_dir(), "{} is not there", data.display());
        }
        namespace.skiff().run(&["down", "-y", "c"]).await.code(0);
        shared.delete().await;
    })
    .await;
}
