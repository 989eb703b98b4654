//! `skiff task show` and `skiff task check`: no cluster, no kubeconfig.

use serde_json::Value;

use crate::sandbox::{Sandbox, assert_finished};

/// A task with something of every kind.
const TASK: &str = "\
name: train
envs: {EPOCHS: 010, FAST: yes}
secrets: {TOKEN: hunter2}
workdir: .
resources:
  cpus: 4+
  memory: 16GB
  ports: [8080, 9000-9002]
  labels: {team: vision}
  any_of:
    - infra: k8s/one
    - infra: k8s/two
      cpus: 8
setup: pip install -r requirements.txt
run: |
  python train.py --epochs $EPOCHS
";

async fn show(task: &str, flags: &[&str]) -> skiff_test::Finished {
    let sandbox = Sandbox::new();
    sandbox.write("task.yaml", task);
    let mut words = vec!["task", "show", "task.yaml"];
    words.extend(flags);
    sandbox.skiff().run(&words).await
}

async fn shown(task: &str, flags: &[&str]) -> Value {
    let mut words = vec!["-o", "json"];
    words.extend(flags);
    show(task, &words).await.code(0).json()
}

#[tokio::test]
async fn a_task_is_shown_with_its_defaults_and_without_its_secrets() {
    assert_finished!(show(TASK, &[]).await);
}

#[tokio::test]
async fn a_task_is_shown_as_json() {
    assert_finished!(show(TASK, &["-o", "json"]).await);
}

#[tokio::test]
async fn flags_win_over_the_file() {
    let flags = "--name other --num-nodes 2 --cpus 1 --memory 3 --image-id docker:alpine --infra k8s/three \
                 --disk-size 512 --use-spot --ports 80 --ports 443 --env EPOCHS=2 --env MORE=x=y --workdir elsewhere";
    let flags: Vec<&str> = flags.split_whitespace().collect();
    let task = shown(TASK, &flags).await;
    let first = &task["resources"][0];
    assert_eq!(task["name"], "other");
    assert_eq!(task["num_nodes"], 2);
    assert_eq!(task["workdir"], "elsewhere");
    assert_eq!(task["envs"]["EPOCHS"], "2");
    assert_eq!(task["envs"]["MORE"], "x=y");
    assert_eq!(first["cpus"], 1);
    assert_eq!(first["memory"], 3);
    assert_eq!(first["image_id"], "alpine");
    assert_eq!(first["infra"], "kubernetes/three");
    assert_eq!(first["disk_size"], 512);
    assert_eq!(first["use_spot"], true);
    assert_eq!(first["ports"], serde_json::json!(["80", "443"]));
}

#[tokio::test]
async fn none_takes_back_what_the_file_says() {
    let task = "resources: {cpus: 4, memory: 16, image_id: docker:alpine, ports: 80}\nrun: echo\n";
    let flags = "--cpus none --memory none --image-id none --ports none";
    let flags: Vec<&str> = flags.split_whitespace().collect();
    let task = shown(task, &flags).await;
    let first = &task["resources"][0];
    assert_eq!(first["cpus"], 2);
    assert_eq!(first["memory"], 2);
    assert_eq!(first["image_id"], Value::Null);
    assert_eq!(first["ports"], serde_json::json!([]));
}

#[tokio::test]
async fn values_of_secrets_are_shown_nowhere() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "task.yaml",
        "secrets: {IN_FILE: hunter2, ASKED: null}\nrun: echo\n",
    );
    sandbox.write("all.env", "PLAIN=seen\nASKED=hunter2\n");
    sandbox.write("secret.env", "MORE=hunter2\n");
    let flags = "task show task.yaml -o json --env-file all.env --secret-file secret.env \
                 --secret ON_LINE=hunter2 --secret OWN";
    let words: Vec<&str> = flags.split_whitespace().collect();
    let finished = sandbox
        .skiff()
        .with("OWN", "hunter2")
        .with("SKIFF_LOG", "trace")
        .run(&words)
        .await
        .code(0);
    let finished = finished.never_says("hunter2");
    assert!(!finished.stderr.contains("hunter2"), "{finished}");
    let task = finished.json();
    let mut names: Vec<&str> = task["secrets"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["ASKED", "IN_FILE", "MORE", "ON_LINE", "OWN"]);
    assert_eq!(task["envs"], serde_json::json!({ "PLAIN": "seen" }));
}

#[tokio::test]
async fn the_env_file_gives_what_the_task_asks_for_and_flags_win_over_it() {
    let sandbox = Sandbox::new();
    sandbox.write("task.yaml", "envs: {A: null, B: null, C: c}\nrun: echo\n");
    sandbox.write("vars", "export A='one # two'\nB=\"x\\ny\"\nC=${A}\n");
    let words = [
        "task",
        "show",
        "task.yaml",
        "-o",
        "json",
        "--env-file",
        "vars",
        "--env",
        "B=flag",
    ];
    let finished = sandbox.skiff().run(&words).await.code(0);
    let task = finished.json();
    let expected = serde_json::json!({ "A": "one # two", "B": "flag", "C": "one # two" });
    assert_eq!(task["envs"], expected);
}

#[tokio::test]
async fn several_tasks_are_a_list() {
    let pipeline = "name: both\n---\nname: one\nrun: echo 1\n---\nname: two\nrun: echo 2\n";
    let tasks = shown(pipeline, &["--env", "A=1"]).await;
    let tasks = tasks.as_array().expect("a list");
    let names: Vec<&Value> = tasks.iter().map(|task| &task["name"]).collect();
    assert_eq!(names, ["one", "two"]);
    assert!(tasks.iter().all(|task| task["envs"]["A"] == "1"));
    let finished = show(pipeline, &["--cpus", "64"]).await.code(0);
    finished
        .notes("the file has 2 tasks")
        .says("---")
        .never_says("64");
}

#[tokio::test]
async fn a_command_is_a_task_too() {
    let finished = Sandbox::new()
        .skiff()
        .run(&["task", "show", "-o", "json", "--", "echo", "hello"])
        .await
        .code(0);
    let task = finished.json();
    assert_eq!(task["run"], "echo hello");
}

#[tokio::test]
async fn faults_are_told_as_a_launch_tells_them() {
    assert_finished!(show("resources: {cpus: many}\nrnu: echo\n", &[]).await);
}

#[tokio::test]
async fn flags_that_exclude_each_other_are_refused() {
    for flags in [
        &["--workdir", ".", "--git-url", "https://example.com/x.git"][..],
        &["--infra", "k8s", "--cloud", "kubernetes"][..],
    ] {
        show("run: echo\n", flags)
            .await
            .code(2)
            .notes("cannot be used with");
    }
}

#[tokio::test]
async fn a_file_that_is_far_too_large_is_not_read() {
    let sandbox = Sandbox::new();
    let path = sandbox.write("task.yaml", "run: echo\n");
    let file = std::fs::File::options()
        .write(true)
        .open(path)
        .expect("the file is there");
    file.set_len(1 << 30).expect("a file with a hole");
    assert_finished!(sandbox.skiff().run(&["task", "show", "task.yaml"]).await);
}

/// A folder with one file of each kind.
fn folder() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("tasks/a.yaml", "run: echo\n");
    sandbox.write("tasks/asks.yaml", "envs: {WHERE: null}\nrun: echo $WHERE\n");
    sandbox.write(
        "tasks/deep/b.yml",
        "name: both\n---\nname: one\nrun: echo\n---\nname: two\nrun: echo\n",
    );
    sandbox.write(
        "tasks/deep/pod.yaml",
        "apiVersion: v1\nkind: Pod\nspec: {}\n",
    );
    sandbox.write(
        "tasks/wrong.yaml",
        "rnu: echo\nsetup: echo\nresources: {cpu: 2}\n",
    );
    sandbox.write("tasks/.hidden/c.yaml", "rnu: echo\nsetup: echo\n");
    sandbox.write("tasks/notes.txt", "rnu: echo\n");
    sandbox
}

#[tokio::test]
async fn many_files_are_checked_at_once() {
    assert_finished!(folder().skiff().run(&["task", "check", "tasks"]).await);
}

#[tokio::test]
async fn many_files_are_checked_for_programs() {
    assert_finished!(
        folder()
            .skiff()
            .run(&["task", "check", "tasks", "-o", "json"])
            .await
    );
}

#[tokio::test]
async fn a_folder_of_right_tasks_and_other_files_is_right() {
    let sandbox = folder();
    let right = ["task", "check", "tasks/a.yaml", "tasks/deep"];
    sandbox
        .skiff()
        .run(&right)
        .await
        .code(0)
        .says("pipeline of 2 tasks");
    let named = ["task", "check", "tasks/deep/pod.yaml"];
    sandbox.skiff().run(&named).await.code(1).says("NO TASK");
    let missing = ["task", "check", "nowhere"];
    sandbox
        .skiff()
        .run(&missing)
        .await
        .code(1)
        .notes("cannot read nowhere");
}
