//! Task and configuration files that are wrong: every fault at once, each at its place.

use crate::sandbox::{Sandbox, assert_finished};

async fn launch(task: impl AsRef<[u8]>) -> skiff_test::Finished {
    let sandbox = Sandbox::new();
    sandbox.write("task.yaml", task);
    sandbox
        .skiff()
        .run(&["launch", "-y", "-c", "dev", "task.yaml"])
        .await
}

#[tokio::test]
async fn yaml_that_is_none_is_told_with_its_place() {
    assert_finished!(launch("run: [echo\nname: x: y\n").await);
}

#[tokio::test]
async fn bytes_that_are_no_text_are_no_task() {
    assert_finished!(launch(b"run: echo \xff\xfe\n").await);
}

#[tokio::test]
async fn all_faults_are_told_at_once_with_the_names_that_were_meant() {
    let task = "nmae: x\nresources:\n  cpu: 2\n  memory: lots\nnum_nodes: \"2\"\nrun: [echo]\n";
    assert_finished!(launch(task).await);
}

#[tokio::test]
async fn a_key_that_is_there_twice_is_told_with_both_places() {
    assert_finished!(launch("run: echo\nrun: twice\n").await);
}

#[tokio::test]
async fn a_variable_without_a_value_points_at_its_place_and_the_flag() {
    assert_finished!(launch("envs: {KEY: null}\nrun: echo $KEY\n").await);
}

#[tokio::test]
async fn an_empty_file_is_no_task() {
    assert_finished!(launch("# nothing\n").await);
}

#[tokio::test]
async fn a_flag_that_is_no_amount_is_refused() {
    assert_finished!(
        Sandbox::new()
            .skiff()
            .run(&["launch", "-y", "--cpus", "many", "true"])
            .await
    );
}

#[tokio::test]
async fn a_configuration_with_faults_is_refused_before_anything_is_asked() {
    let sandbox = Sandbox::new();
    sandbox.write(".sky.yaml", "kubernetes:\n  provision_timeout: soon\n");
    assert_finished!(sandbox.skiff().run(&["status"]).await);
}
