//! `skiff config show`, and which files and flags make the configuration.

use skiff_test::Program;
use skiff_test::fake_api::FakeApi;

use crate::sandbox::{Sandbox, assert_finished};

const USER: &str = "\
api_server: {endpoint: 'https://sky.example.com', service_account_token: sky_geheim}
kubernetes:
  namespace: team
  provision_timeout: 600
  pod_config:
    spec:
      tolerations: [{key: gpu}]
  kueue: {local_queue_name: queue}
  context_configs:
    there: {namespace: own}
";
const PROJECT: &str = "\
kubernetes:
  images: {task: 'registry.example.com/base:1'}
  pod_config:
    spec:
      tolerations:
      - key: spot
";

/// `skiff` with the configuration of a user and of a project.
fn configured(sandbox: &Sandbox) -> Program {
    sandbox.write("user.yaml", USER);
    sandbox.write(".sky.yaml", PROJECT);
    sandbox.skiff().with("SKYPILOT_GLOBAL_CONFIG", "user.yaml")
}

#[tokio::test]
async fn every_key_is_shown_with_the_line_that_it_comes_from() {
    let sandbox = Sandbox::new();
    let skiff = configured(&sandbox);
    let finished = skiff
        .run(&[
            "config",
            "show",
            "--config",
            "kubernetes.enable_docker=true",
        ])
        .await;
    assert_finished!(finished.never_says("geheim"));
}

#[tokio::test]
async fn a_contexts_own_keys_hold_for_it() {
    let sandbox = Sandbox::new();
    let skiff = configured(&sandbox);
    let line = "kubernetes.namespace  own    user.yaml:10";
    let words = ["config", "show", "kubernetes.namespace"];
    let shown = skiff
        .run(&[words[0], words[1], words[2], "--context", "there"])
        .await;
    shown.code(0).says(line);
    skiff.run(&words).await.code(0).never_says(line);
    sandbox.kubeconfig("http", "127.0.0.1:1".parse().expect("an address"));
    skiff.run(&words).await.code(0).says(line);
}

#[tokio::test]
async fn keys_are_shown_for_programs() {
    let sandbox = Sandbox::new();
    let skiff = configured(&sandbox);
    let keys = [
        "kubernetes.namespace",
        "kubernetes.remote_identity",
        "api_server",
    ];
    let run = async |format: &str| {
        let words = ["config", "show", "-o", format];
        skiff.run(&[words.as_slice(), &keys].concat()).await
    };
    assert_finished!(run("json").await);
    assert_finished!(run("yaml").await);
}

#[tokio::test]
async fn a_key_that_cannot_be_is_told_with_the_like() {
    let sandbox = Sandbox::new();
    assert_finished!(
        sandbox
            .skiff()
            .run(&["config", "show", "kubernetes.namespase"])
            .await
    );
    let skiff = sandbox.skiff();
    skiff
        .run(&["config", "show", "kubernetes.kueue"])
        .await
        .code(0)
        .notes("nothing is set under `kubernetes.kueue`");
}

#[tokio::test]
async fn all_faults_of_a_file_are_told_with_their_lines() {
    let sandbox = Sandbox::new();
    sandbox.write(
        ".sky.yaml",
        "kubernetes:\n  namespase: team\n  enable_docker: maybe\n  provision_timeout: soon\n",
    );
    assert_finished!(sandbox.skiff().run(&["config", "show"]).await);
}

#[tokio::test]
async fn a_flag_that_is_wrong_is_told_with_its_key() {
    let sandbox = Sandbox::new();
    let words = ["config", "show", "--config", "kubernetes.namespace=No_Good"];
    assert_finished!(sandbox.skiff().run(&words).await);
}

#[tokio::test]
async fn skiffs_own_file_takes_the_place_of_skypilots() {
    let sandbox = Sandbox::new();
    let show = async || {
        let skiff = sandbox.skiff();
        let words = ["config", "show", "kubernetes.namespace"];
        skiff.run(&words).await.code(0).stdout
    };
    assert!(show().await.contains("the kubeconfig's, else `default`"));
    sandbox.write("../.sky/config.yaml", "kubernetes: {namespace: skypilots}");
    assert!(show().await.contains(".sky/config.yaml:1"));
    sandbox.write(
        "../.skiff/config.yaml",
        "kubernetes: {image_pull_policy: Always}",
    );
    assert!(!show().await.contains("skypilots"));
}

#[tokio::test]
async fn a_file_that_a_variable_names_must_be_there() {
    let sandbox = Sandbox::new();
    for variable in ["SKYPILOT_GLOBAL_CONFIG", "SKYPILOT_PROJECT_CONFIG"] {
        let finished = sandbox
            .skiff()
            .with(variable, "nowhere.yaml")
            .run(&["config", "show"])
            .await;
        finished
            .code(1)
            .one_error()
            .notes("nowhere.yaml")
            .notes(&format!(
                "hint: correct the variable, or go on without it: unset {variable}"
            ));
    }
}

#[tokio::test]
async fn a_local_clusters_own_file_is_the_lowest_layer() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "../.skiff/local/dev/config.yaml",
        "kubernetes: {namespace: local, images: {task: 'local/task'}}",
    );
    sandbox.write(".sky.yaml", "kubernetes: {namespace: project}");
    let words = ["config", "show", "--context", "skiff-dev"];
    let shown = sandbox.skiff().run(&words).await.code(0);
    shown
        .says("local/task")
        .says(".sky.yaml:1")
        .never_says("local  ");
}

#[tokio::test]
async fn a_flag_may_name_a_file() {
    let sandbox = Sandbox::new();
    sandbox.write("low.yaml", "kubernetes: {namespace: low}");
    sandbox.write("high.yaml", "kubernetes: {namespace: high}");
    let skiff = sandbox.skiff().with("SKYPILOT_PROJECT_CONFIG", "low.yaml");
    let words = ["config", "show", "--config", "high.yaml"];
    skiff
        .run(&words)
        .await
        .code(0)
        .says("high.yaml:1")
        .never_says("low.yaml");
}

#[tokio::test]
async fn a_flag_wins_over_the_task_and_the_task_over_files() {
    let sandbox = Sandbox::new();
    sandbox.write(
        ".sky.yaml",
        "kubernetes: {custom_metadata: {labels: {a: file, b: file, c: file}}}",
    );
    sandbox.write(
        "task.yaml",
        "config: {kubernetes: {custom_metadata: {labels: {b: task, c: task}}}}\nrun: id\n",
    );
    let flag = "kubernetes.custom_metadata.labels.c=flag";
    let words = ["render", "--config", flag, "task.yaml"];
    let rendered = sandbox.skiff().run(&words).await.code(0);
    rendered
        .says("a: file")
        .says("b: task")
        .says("c: flag")
        .never_says("c: task");
}

#[tokio::test]
async fn a_file_that_is_far_too_large_is_not_read() {
    let sandbox = Sandbox::new();
    sandbox.write(".sky.yaml", vec![b'#'; 5 << 20]);
    let finished = sandbox.skiff().run(&["config", "show"]).await.code(1);
    finished.one_error().notes("larger than 4 MiB");
}

#[tokio::test]
async fn keys_without_effect_are_told_once_however_many_candidates_there_are() {
    let api = FakeApi::start(Vec::new()).await.expect("a port is free");
    let sandbox = Sandbox::new();
    sandbox.kubeconfig("http", api.address);
    sandbox.write(".sky.yaml", "jobs: {bucket: 's3://mine'}\n");
    sandbox.write(
        "task.yaml",
        "resources: {any_of: [{cpus: 1}, {cpus: 2}]}\nrun: id\n",
    );
    let finished = sandbox
        .skiff()
        .run(&["launch", "-y", "task.yaml"])
        .await
        .code(1);
    let warning =
        "warning: .sky.yaml:1: `jobs` is ignored: Skiff has no controller of that kind yet";
    assert_eq!(finished.stderr.matches(warning).count(), 1, "{finished}");
}
