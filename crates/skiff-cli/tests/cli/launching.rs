//! What a launch takes of a task: what it refuses before anything is asked or created, what it only notes, and which
//! candidate it takes.

use skiff_test::fake_api::{Answer, FakeApi};

use crate::sandbox::{Sandbox, assert_finished};
use crate::server::small_cluster;

/// Runs a command in a folder with this task against a server with these answers; with what was asked of it.
async fn against(
    answers: Vec<Answer>,
    task: &str,
    words: &[&str],
) -> (skiff_test::Finished, Vec<String>) {
    let api = FakeApi::start(answers).await.expect("a port is free");
    let sandbox = Sandbox::new();
    sandbox.kubeconfig("http", api.address);
    sandbox.write("task.yaml", task);
    let finished = sandbox.skiff().run(words).await;
    (finished, api.requests())
}

/// A launch that is to be refused before the server is asked for anything.
async fn refused(task: &str, flags: &[&str]) -> skiff_test::Finished {
    let mut words = vec!["launch", "-y", "-c", "dev", "task.yaml"];
    words.extend(flags);
    let (finished, requests) = against(small_cluster(), task, &words).await;
    assert!(requests.is_empty(), "{requests:?}");
    finished.code(1).one_error()
}

/// A dry run on the small cluster: nothing may be created.
async fn dry_run(task: &str, flags: &[&str]) -> skiff_test::Finished {
    let mut words = vec!["launch", "--dryrun", "-c", "dev", "task.yaml"];
    words.extend(flags);
    let (finished, requests) = against(small_cluster(), task, &words).await;
    let reads = requests.iter().all(|line| line.starts_with("GET "));
    assert!(reads, "{requests:?}");
    finished
}

macro_rules! refusals {
    ($($name:ident: $task:expr;)*) => {
        $(#[tokio::test]
        async fn $name() {
            assert_finished!(refused($task, &[]).await);
        })*
    };
}

refusals! {
    a_pipeline_is_refused: "name: both\n---\nrun: echo 1\n---\nrun: echo 2\n";
    a_job_group_is_refused: "name: both\nexecution: parallel\n---\nname: one\nrun: echo 1\n---\nname: two\nrun: echo 2\n";
    a_service_is_refused: "service: {readiness_probe: /health}\nresources: {ports: 8080}\nrun: serve\n";
    a_pool_is_refused: "pool: {workers: 2}\nsetup: prepare\n";
    accelerators_are_refused: "resources: {accelerators: 'A100:2'}\nrun: echo\n";
    mounts_of_buckets_are_refused: "file_mounts: {/data: s3://bucket, /models: gs://other/models}\nrun: echo\n";
    storage_mounts_are_refused: "file_mounts: {/data: {name: bucket, mode: MOUNT}}\nrun: echo\n";
    a_mount_whose_source_is_missing_is_refused: "file_mounts: {/data: ./nothing}\nrun: echo\n";
    volumes_are_refused: "volumes: {/mnt/data: scratch}\nrun: echo\n";
    secrets_that_a_server_keeps_are_refused: "secrets: {TOKEN: null, OTHER: null}\nrun: echo\n";
    all_obstacles_are_told_at_once: "\
resources: {accelerators: A100}
file_mounts: {/a: s3://a, /b: s3://b, /c: s3://c, /d: s3://d, /e: s3://e}
volumes: {/mnt/data: scratch}
run: echo
";
}

#[tokio::test]
async fn local_mounts_and_git_workdirs_are_taken() {
    let mounts = "file_mounts: {/data: ./task.yaml, relative: ., ~/x: task.yaml}\nrun: echo\n";
    dry_run(mounts, &["--cpus", "1"]).await.code(0);
    let git = "workdir: {url: 'https://example.com/x.git', ref: main}\nrun: echo\n";
    dry_run(git, &["--cpus", "1"]).await.code(0);
}

#[tokio::test]
async fn flags_take_obstacles_out_of_the_way() {
    let task =
        "resources: {accelerators: A100, cpus: 1, memory: 1}\nsecrets: {TOKEN: null}\nrun: echo\n";
    let flags = ["--gpus", "none", "--secret", "TOKEN=x"];
    dry_run(task, &flags).await.code(0);
}

#[tokio::test]
async fn what_is_not_acted_on_is_noted() {
    let task = "\
resources:
  cpus: 1
  memory: 1
  ports: [8080, 9000-9010]
  use_spot: true
  network_tier: best
inputs: {s3://bucket: 10}
run: echo
";
    assert_finished!(dry_run(task, &[]).await);
}

#[tokio::test]
async fn the_first_candidate_that_fits_is_taken() {
    let task = "\
resources:
  memory: 1
  ordered:
    - {cpus: 64}
    - {cpus: 1, accelerators: H100}
    - {cpus: 1.5}
run: echo
";
    assert_finished!(dry_run(task, &[]).await);
}

#[tokio::test]
async fn candidates_that_are_all_refused_are_told_one_by_one() {
    let task = "\
resources:
  memory: 1
  any_of:
    - {cpus: 64}
    - {cpus: 1, accelerators: H100}
    - {cpus: 1, infra: k8s/elsewhere}
run: echo
";
    assert_finished!(dry_run(task, &[]).await);
}

#[tokio::test]
async fn candidates_that_are_refused_for_one_reason_give_one_error() {
    let task = "volumes: {/mnt: scratch}\nresources: {any_of: [{cpus: 1}, {cpus: 2}]}\nrun: echo\n";
    refused(task, &[])
        .await
        .notes("error: `volumes` is not there");
}

#[tokio::test]
async fn a_context_that_the_configuration_does_not_allow_is_refused_with_the_list() {
    let flags = [
        "--config",
        "kubernetes.allowed_contexts=[staging, production]",
    ];
    let finished = refused("run: echo\n", &flags).await;
    finished
        .notes("tasks may not run in the context `there`")
        .notes("staging, production")
        .notes("--config");
    let allowed = [
        "--config",
        "kubernetes.allowed_contexts=[there]",
        "--cpus",
        "1",
        "--memory",
        "1",
    ];
    dry_run("run: echo\n", &allowed).await.code(0);
}

#[tokio::test]
async fn a_flag_for_the_configuration_changes_this_launch() {
    let task = "resources: {cpus: 1, memory: 1}\nrun: echo\n";
    let (finished, _) = against(
        Vec::new(),
        task,
        &[
            "render",
            "task.yaml",
            "--config",
            "kubernetes.enable_docker=true",
        ],
    )
    .await;
    finished.code(0).says("privileged: true");
}

#[tokio::test]
async fn rendering_tells_what_a_launch_would_refuse_and_shows_no_secret() {
    let task = "volumes: {/mnt: scratch}\nsecrets: {TOKEN: hunter2}\nrun: echo\n";
    let (finished, _) = against(Vec::new(), task, &["render", "task.yaml"]).await;
    let finished = finished
        .code(0)
        .notes("`skiff launch` refuses this task: `volumes` is not there")
        .never_says("hunter2");
    assert!(!finished.stderr.contains("hunter2"), "{finished}");
}
