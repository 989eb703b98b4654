//! Docker's data on a volume that outlives the pod: found again, never by two, never by another rank.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::{Value, json};
use skiff_test::Namespace;
use skiff_test::bare::make;
use skiff_test::namespace::with_namespace;

use crate::docker_storage::task;

/// A build whose step says when it runs, and takes a while.
const BUILD: &str = "mkdir -p /tmp/b && cd /tmp/b && \
    printf 'FROM box\\nRUN [\"/busybox\", \"sh\", \"-c\", \"sleep 2; date +%%s%%N > /when\"]\\n' > Dockerfile && \
    docker build -q -t built . && docker run --rm --network none built /busybox sed s/^/when=/ /when";

async fn claim(namespace: &Namespace, name: &str) -> Value {
    let claim = json!({"metadata": {"name": name}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
    }});
    make::<PersistentVolumeClaim>(namespace, claim).await;
    json!({"persistentVolumeClaim": {"claimName": name}})
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
        let volume = claim(namespace, "cache").await;
        let leave = format!("{BUILD} && docker run -d --name service --restart always --network none box /busybox sleep 1000");
        let mut first = task(&json!(true), Some(&volume), &leave);
        namespace.write("task.yaml", &first);
        let launched = namespace.launch("a", &["task.yaml"]).await.code(0);
        let built = when(&launched.stdout);
        namespace.skiff().run(&["down", "-y", "a"]).await.code(0);

        // Another cluster, without the setup that would make the image anew.
        let mut second: Value = serde_json::from_str(&first).expect("JSON");
        second["setup"] = Value::Null;
        first = second.to_string();
        namespace.write("task.yaml", &first);
        // The name of the container that the first has left is free, too.
        let launched = namespace.launch("b", &["task.yaml"]).await.code(0);
        assert_eq!(when(&launched.stdout), built, "the step ran again");
        let log = namespace.log_of("b", "docker").await;
        assert!(log.contains("removing 1 containers that an earlier pod left"), "{log}");
    })
    .await;
}

#[tokio::test]
async fn c18_two_daemons_on_one_cache_volume() {
    with_namespace(async |namespace| {
        let volume = claim(namespace, "cache").await;
        namespace.write("task.yaml", &task(&json!(true), Some(&volume), "echo one"));
        namespace.launch("first", &["task.yaml"]).await.code(0);
        namespace.write("task.yaml", &task(&json!(true), Some(&volume), "echo not alone"));
        let second = namespace.launch("second", &["task.yaml"]).await.code(100);
        second
            .says("Docker did not become ready: the data in /var/lib/docker is in use by cluster first (pod first-")
            .never_says("not alone");
        // The first has not noticed.
        let run = "docker run --rm --network none box /busybox echo unharmed";
        let first = namespace.skiff().run(&["exec", "first", run]).await;
        first.code(0).says("unharmed");

        // A holder that was killed holds nothing.
        let ended = "kill -9 $(cat /run/docker.pid); kill -9 1";
        namespace.inside_of("first", "docker", ended).await;
        namespace.skiff().run(&["down", "-y", "first"]).await.code(0);
        let again = "until docker info >/dev/null 2>&1; do sleep 0.5; done; \
            docker run --rm --network none box /busybox echo taken over";
        let second = namespace.skiff().run(&["exec", "second", again]).await;
        second.code(0).says("taken over");
    })
    .await;
}

#[tokio::test]
async fn a_daemon_and_a_sidecar_that_were_killed_leave_data_that_the_next_can_use() {
    with_namespace(async |namespace| {
        let volume = claim(namespace, "cache").await;
        let run = "docker run -d --name half --network none box /busybox sleep 100000; echo begun";
        namespace.write("task.yaml", &task(&json!(true), Some(&volume), run));
        namespace.launch("c", &["task.yaml"]).await.code(0);
        for kill in ["kill -9 $(cat /run/docker.pid)", "kill -9 $(pidof containerd)"] {
            namespace.inside_of("c", "docker", kill).await;
            let again = "until docker image inspect box >/dev/null 2>&1; do sleep 0.2; done; \
                docker rm -f half; docker run -d --name half --network none box /busybox sleep 100000 && echo usable";
            let finished = namespace.skiff().run(&["exec", "c", again]).await;
            finished.code(0).says("usable");
        }
    })
    .await;
}
