//! `skiff render`: objects on standard output, nothing contacted.

use skiff_test::fake_api::FakeApi;

use crate::sandbox::{Sandbox, assert_finished};

const TASK: &str = "name: small\nresources: {cpus: 0.5, memory: 1}\nrun: echo hello\n";

#[tokio::test]
async fn a_task_becomes_yaml_on_standard_output() {
    let sandbox = Sandbox::new();
    sandbox.write("task.yaml", TASK);
    let finished = sandbox
        .skiff()
        .run(&["render", "-c", "dev", "task.yaml"])
        .await
        .code(0);
    let finished = finished
        .says("kind: Secret")
        .says("kind: Pod")
        .says("-head\n");
    assert!(finished.stderr.is_empty(), "{finished}");
}

#[tokio::test]
async fn the_same_task_is_rendered_the_same_each_time() {
    let sandbox = Sandbox::new();
    sandbox.write("task.yaml", TASK);
    let first = sandbox.skiff().run(&["render", "task.yaml"]).await.code(0);
    let second = sandbox.skiff().run(&["render", "task.yaml"]).await.code(0);
    assert_eq!(first.stdout, second.stdout);
}

#[tokio::test]
async fn rendering_contacts_no_cluster_even_where_one_is_configured() {
    let api = FakeApi::start(Vec::new()).await.expect("a port is free");
    let sandbox = Sandbox::new();
    sandbox.kubeconfig("http", api.address);
    sandbox.write("task.yaml", TASK);
    sandbox.skiff().run(&["render", "task.yaml"]).await.code(0);
    assert_eq!(api.requests(), [""; 0]);
}

#[tokio::test]
async fn a_context_that_is_named_is_asked() {
    let api = FakeApi::start(Vec::new()).await.expect("a port is free");
    let sandbox = Sandbox::new();
    sandbox.kubeconfig("http", api.address);
    sandbox.write("task.yaml", TASK);
    sandbox
        .skiff()
        .run(&["render", "--context", "there", "task.yaml"])
        .await
        .code(1)
        .one_error();
    assert!(
        api.requests()
            .iter()
            .any(|line| line.starts_with("GET /version")),
        "{:?}",
        api.requests()
    );
}

#[tokio::test]
async fn the_sidecar_depends_on_the_version_that_is_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "task.yaml",
        "config: {kubernetes: {enable_docker: true}}\nrun: docker info\n",
    );
    let skiff = sandbox.skiff();
    let new = skiff
        .run(&["render", "--kubernetes-version", "1.29", "task.yaml"])
        .await
        .code(0);
    new.says("restartPolicy: Always");
    let old = skiff
        .run(&["render", "--kubernetes-version", "v1.28.3", "task.yaml"])
        .await
        .code(0);
    old.never_says("restartPolicy: Always")
        .says("privileged: true");
}

#[tokio::test]
async fn a_name_that_kubernetes_refuses_is_refused_here() {
    for name in ["-dev", "dev_", "9lives", "naïve", ""] {
        let finished = Sandbox::new()
            .skiff()
            .run(&["render", &format!("--cluster={name}"), "true"])
            .await;
        finished
            .code(1)
            .one_error()
            .notes(&format!("`{name}`"))
            .notes("hint:");
    }
    assert_finished!(
        Sandbox::new()
            .skiff()
            .run(&["render", "-c", "my/cluster", "true"])
            .await
    );
}

#[tokio::test]
async fn every_example_becomes_objects() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let skiff = Sandbox::new().skiff().inside(root);
    let mut rendered = 0;
    for folder in ["examples", "examples/enable_docker"] {
        let entries = std::fs::read_dir(format!("{root}/{folder}")).expect("the examples");
        for entry in entries {
            let path = entry.expect("an example").path();
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.expect("an example's name");
            // A volume is no task.
            let is_task = path
                .extension()
                .is_some_and(|extension| extension == "yaml");
            if !is_task || name == "docker-cache-vol.yaml" {
                continue;
            }
            let file = format!("{folder}/{name}");
            let words = ["render", "--secret", "SKYPILOT_DOCKER_PASSWORD=x", &file];
            let words = if name == "registry_login.yaml" {
                &words[..]
            } else {
                &["render", &file]
            };
            let finished = skiff.run(words).await.code(0);
            finished.says("kind: Pod");
            rendered += 1;
        }
    }
    assert!(rendered > 10, "{rendered} examples");
}
