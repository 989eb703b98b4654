//! The first thing that a newcomer sees: Docker builds an image in a pod and runs it.

use k8s_openapi::api::core::v1::{Container, Pod};
use skiff_test::namespace::{small, with_namespace};

/// Prints each TCP port that somebody listens at in the pod's network namespace.
const LISTENING: &str =
    "cat /proc/net/tcp /proc/net/tcp6 | awk '$4 == \"0A\" { print \"port\", $2 }'; echo no more";

#[tokio::test]
async fn the_demo_builds_an_image_in_the_pod_and_runs_it() {
    with_namespace(async |namespace| {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let skiff = namespace.skiff().inside(root);
        let finished = skiff.run(&["launch", "-y", "-c", "demo", "examples/docker_build.yaml"]).await;
        finished.code(0).says("Hello from a container in a pod");

        let pod = namespace.head("demo").await;
        assert!(!privileged(&pod, "task"), "the task container is privileged");
        assert!(privileged(&pod, "docker"), "the daemon's container is not privileged");
        assert!(ports(&pod).is_empty(), "the pod opens ports");

        let look = skiff
            .run(&["exec", "demo", &format!("echo host=$DOCKER_HOST; test -S /var/run/docker.sock && echo socket; {LISTENING}")])
            .await;
        look.code(0).says("host=unix:///").says("socket").says("no more").never_says("port ");
        skiff.run(&["down", "-y", "demo"]).await.code(0);
        namespace.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn the_daemon_survives_its_job_and_is_there_for_the_next() {
    with_namespace(async |namespace| {
        namespace.write(
            "task.yaml",
            "resources: {cpus: 0.1, memory: 0.5}\n\
             config: {kubernetes: {enable_docker: true}}\n\
             setup: docker volume create kept\n\
             run: docker info --format 'driver={{.Driver}}'\n",
        );
        let launched = namespace
            .skiff()
            .run(&["launch", "-y", "-c", "d", "task.yaml"])
            .await;
        launched.code(0).says("driver=overlay2");
        let next = namespace
            .skiff()
            .run(&["exec", "d", "docker volume ls --quiet"])
            .await;
        next.code(0).says("kept");
    })
    .await;
}

#[tokio::test]
async fn a_cluster_without_docker_is_not_asked_for_docker_later() {
    with_namespace(async |namespace| {
        namespace.launch("plain", &["true"]).await.code(0);
        namespace.write(
            "task.yaml",
            "config: {kubernetes: {enable_docker: true}}\nrun: docker info\n",
        );
        let refused = namespace
            .skiff()
            .run(&small("plain", &["task.yaml"]))
            .await
            .code(1)
            .one_error();
        refused
            .notes("`plain` has no Docker")
            .notes("skiff down plain");
    })
    .await;
}

fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    let spec = pod.spec.as_ref().expect("a pod has a spec");
    spec.init_containers
        .iter()
        .flatten()
        .chain(&spec.containers)
}

fn privileged(pod: &Pod, name: &str) -> bool {
    let container = containers(pod)
        .find(|container| container.name == name)
        .expect("the pod has this container");
    container
        .security_context
        .as_ref()
        .and_then(|context| context.privileged)
        .unwrap_or(false)
}

fn ports(pod: &Pod) -> Vec<i32> {
    containers(pod)
        .flat_map(|container| container.ports.iter().flatten())
        .map(|port| port.container_port)
        .collect()
}
