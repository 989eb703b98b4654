//! What `--help` and `completion` print.

use crate::sandbox::{Sandbox, assert_finished};

macro_rules! help {
    ($($name:ident: $($word:literal)*;)*) => {
        $(#[tokio::test]
        async fn $name() {
            assert_finished!(Sandbox::new().skiff().run(&[$($word,)* "--help"]).await);
        })*
    };
}

help! {
    help_of_skiff: ;
    help_of_autostop: "autostop";
    help_of_cancel: "cancel";
    help_of_check: "check";
    help_of_check_docker: "check" "docker";
    help_of_completion: "completion";
    help_of_config: "config";
    help_of_config_show: "config" "show";
    help_of_down: "down";
    help_of_exec: "exec";
    help_of_launch: "launch";
    help_of_local: "local";
    help_of_local_down: "local" "down";
    help_of_local_load: "local" "load";
    help_of_local_status: "local" "status";
    help_of_local_up: "local" "up";
    help_of_logs: "logs";
    help_of_queue: "queue";
    help_of_render: "render";
    help_of_ssh: "ssh";
    help_of_start: "start";
    help_of_status: "status";
    help_of_stop: "stop";
    help_of_task: "task";
    help_of_task_check: "task" "check";
    help_of_task_show: "task" "show";
    help_of_volumes: "volumes";
    help_of_volumes_apply: "volumes" "apply";
    help_of_volumes_delete: "volumes" "delete";
    help_of_volumes_ls: "volumes" "ls";
}

/// A command without a snapshot of its help would change unseen.
#[tokio::test]
async fn every_command_is_in_this_file() {
    let help = Sandbox::new().skiff().run(&["--help"]).await.code(0);
    let commands = help
        .stdout
        .split("Commands:")
        .nth(1)
        .expect("help lists the commands");
    let names = commands.lines().skip(1).take_while(|line| !line.is_empty());
    let known = include_str!("help.rs");
    for name in names
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
    {
        assert!(
            known.contains(&format!("help_of_{name}:")),
            "no snapshot of `skiff {name} --help`"
        );
    }
}

#[tokio::test]
async fn the_version_is_one_line() {
    assert_finished!(Sandbox::new().skiff().run(&["--version"]).await);
}

#[tokio::test]
async fn without_a_command_the_help_is_shown_and_that_is_a_usage_error() {
    let finished = Sandbox::new().skiff().run(&[]).await.code(2);
    assert!(finished.stderr.contains("Usage: skiff"), "{finished}");
}

#[tokio::test]
async fn each_shell_gets_a_completion_script() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let finished = Sandbox::new()
            .skiff()
            .run(&["completion", shell])
            .await
            .code(0);
        let finished = finished.says("launch").says("skiff");
        assert!(finished.stderr.is_empty(), "{finished}");
    }
}
