//! `examples/enable_docker`: what users copy works as it stands.

use std::time::Duration;

use skiff_test::namespace::{Namespace, with_namespace};
use skiff_test::{Program, buildkit};

/// An example loads images, builds and runs: it may take longer than a command does.
const PATIENCE: Duration = Duration::from_mins(3);

fn skiff(namespace: &Namespace) -> Program {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    namespace.skiff().inside(root).within(PATIENCE)
}

fn path(example: &str) -> String {
    format!("examples/enable_docker/{example}.yaml")
}

/// Launches an example; all that it is to say must be there.
async fn works(example: &'static str, says: &'static [&'static str]) {
    with_namespace(async |namespace| {
        let launch = ["launch", "-y", "-c", "example", &path(example)];
        let mut finished = skiff(namespace).run(&launch).await.code(0);
        for text in says {
            finished = finished.says(text);
        }
    })
    .await;
}

#[tokio::test]
async fn a_daemon_with_its_tools() {
    works("dind_cluster", &["on overlay", "buildx", "Compose version"]).await;
}

#[tokio::test]
async fn several_containers_with_compose() {
    works("compose", &["Hello from the server"]).await;
}

#[tokio::test]
async fn limits_of_all_that_the_daemon_runs() {
    works(
        "limits",
        &["Hello from a container in a pod", "ended with code 137"],
    )
    .await;
}

#[tokio::test]
async fn mirrors_and_registries_without_tls() {
    works("mirrors", &["mirrors: [https://mirror.example.com/]"]).await;
}

#[tokio::test]
async fn networks_of_ones_own() {
    works("networks", &["its addresses: 10.213.", "over TCP: "]).await;
}

#[tokio::test]
async fn layers_in_memory() {
    works("storage_memory", &["Hello from a container in a pod"]).await;
}

#[tokio::test]
async fn a_cache_that_outlives_its_cluster() {
    with_namespace(async |namespace| {
        let skiff = skiff(namespace);
        let volume = path("docker-cache-vol");
        skiff
            .run(&["volumes", "apply", "-y", &volume])
            .await
            .code(0);
        let example = path("cache_volume");
        let launch = ["launch", "-y", "-c", "cached", &example];
        let first = skiff.run(&launch).await.code(0);
        first
            .says("Hello from a container in a pod")
            .never_says("CACHED");
        skiff.run(&["down", "-y", "cached"]).await.code(0);
        let second = skiff.run(&launch).await.code(0);
        second
            .says("Hello from a container in a pod")
            .says("CACHED");
        skiff.run(&["down", "-y", "cached"]).await.code(0);
        let delete = ["volumes", "delete", "-y", "my-builder-cache"];
        skiff.run(&delete).await.code(0);
        namespace.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn a_builder_without_privileges() {
    with_namespace(async |namespace| {
        if !buildkit::configure(namespace).await {
            return;
        }
        let launch = ["launch", "-y", "-c", "example", &path("buildkit_cluster")];
        let finished = skiff(namespace).run(&launch).await.code(0);
        finished.says("Hello from a builder without privileges");
    })
    .await;
}
