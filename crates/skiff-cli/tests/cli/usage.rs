//! Command lines that are wrong.

use crate::sandbox::{Sandbox, assert_finished};

macro_rules! wrong {
    ($($name:ident: $($word:literal)*;)*) => {
        $(#[tokio::test]
        async fn $name() {
            assert_finished!(Sandbox::new().skiff().run(&[$($word,)*]).await);
        })*
    };
}

wrong! {
    an_unknown_command_is_told_with_the_like: "lunch" "task.yaml";
    an_unknown_flag_is_told_with_the_like: "launch" "--cpu" "2" "true";
    exec_needs_something_to_run: "exec" "dev";
    exec_needs_a_cluster: "exec";
    down_needs_names_or_all: "down";
    down_takes_names_or_all_but_not_both: "down" "dev" "-a";
    cancel_takes_numbers_or_all_but_not_both: "cancel" "dev" "1" "-a";
    a_job_is_a_number: "logs" "dev" "first";
    a_version_of_kubernetes_is_a_version: "render" "--kubernetes-version" "new" "true";
    a_version_that_is_too_old_is_refused: "render" "--kubernetes-version" "1.19" "true";
    a_task_file_that_is_not_there_is_no_command: "launch" "-y" "task.yaml";
    a_variable_that_is_not_set_cannot_be_passed_on: "launch" "-y" "--env" "NOWHERE" "true";
    an_env_file_that_is_not_there_is_named: "launch" "-y" "--env-file" "vars" "true";
    a_secret_that_is_not_set_cannot_be_passed_on: "launch" "-y" "--secret" "NOWHERE" "true";
    a_setting_that_there_is_none_of_is_told_with_the_like: "launch" "-y" "--config" "kubernetes.enable_doker=true" "true";
    a_local_clusters_name_is_checked: "local" "up" "--name" "No Good";
}

#[tokio::test]
async fn an_env_file_with_a_bad_line_is_told_with_its_place() {
    let sandbox = Sandbox::new();
    sandbox.write("vars", "GOOD=1\n# a comment\n\nnonsense\n");
    assert_finished!(
        sandbox
            .skiff()
            .run(&["launch", "-y", "--env-file", "vars", "true"])
            .await
    );
}
