//! What a task finds: its files, its variables, its output whole and in order.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use skiff_test::namespace::with_namespace;

#[tokio::test]
async fn the_workdir_is_synced_but_for_what_is_ignored() {
    with_namespace(async |namespace| {
        namespace.write("code/main.sh", "echo from main\n");
        namespace.write("code/deep/er/data.txt", "deep data\n");
        namespace.write("code/debug.log", "never\n");
        namespace.write("code/.skyignore", "*.log\n");
        let script = namespace.write("code/run me.sh", "#!/bin/sh\necho executable\n");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("own file");
        symlink("main.sh", script.with_file_name("link")).expect("own folder");
        let run = "pwd; sh main.sh; cat deep/er/data.txt; './run me.sh'; readlink link; ls debug.log; ls -a | wc -l";
        namespace.write("task.yaml", &format!("workdir: code\nrun: |\n  {run}\n"));
        let finished = namespace.launch("c", &["task.yaml"]).await.code(0);
        let finished = finished.says("from main").says("deep data").says("executable").says(") main.sh");
        finished.says("debug.log': No such file").notes("Synced workdir: 4 files");

        // Every launch and exec brings what has changed; what jobs made stays.
        namespace.write("code/main.sh", "echo from the second main\n");
        namespace.inside("c", "echo made > ~/sky_workdir/made").await;
        let again = namespace.skiff().run(&["exec", "c", "task.yaml"]).await.code(0);
        again.says("from the second main").never_says("from main");
        let made = namespace.inside("c", "cat ~/sky_workdir/made").await;
        assert_eq!(made, b"made\n");
    })
    .await;
}

#[tokio::test]
async fn a_workdir_that_is_not_there_is_refused_before_anything_is_created() {
    with_namespace(async |namespace| {
        let finished = namespace
            .launch("c", &["--workdir", "nowhere", "true"])
            .await
            .code(1)
            .one_error();
        finished.notes("nowhere");
        namespace.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn variables_come_from_the_task_a_file_and_the_command_line_the_last_one_wins() {
    with_namespace(async |namespace| {
        namespace.write(
            "task.yaml",
            "envs: {A: task, B: task, C: task, D: null}\nrun: echo $A-$B-$C-$D-$E\n",
        );
        namespace.write("vars", "# some\nB=file\nexport C='file too'\n");
        let missing = namespace.launch("c", &["task.yaml"]).await.code(1);
        missing.notes("`D` has no value").notes("--env D=");
        namespace.assert_nothing_left().await;
        let flags = [
            "task.yaml",
            "--env-file",
            "vars",
            "--env",
            "C=flag",
            "--env",
            "D=x=y",
            "--env",
            "E",
        ];
        let skiff = namespace.skiff().with("E", "mine");
        let launch = skiff_test::namespace::small("c", &flags);
        skiff
            .run(&launch)
            .await
            .code(0)
            .says(") task-file-flag-x=y-mine\n");
    })
    .await;
}

#[tokio::test]
async fn skypilots_variables_are_there_in_setup_and_run() {
    with_namespace(async |namespace| {
        let show = |words: &[&str]| {
            let lines: Vec<String> = words
                .iter()
                .map(|word| format!("echo {word}=\"${word}\"; "))
                .collect();
            lines.concat()
        };
        let setup = show(&[
            "SKYPILOT_SETUP_NODE_RANK",
            "SKYPILOT_SETUP_NODE_IPS",
            "SKYPILOT_NUM_NODES",
            "SKYPILOT_TASK_ID",
        ]);
        let run = show(&[
            "SKYPILOT_NODE_RANK",
            "SKYPILOT_NODE_IPS",
            "SKYPILOT_NUM_GPUS_PER_NODE",
            "SKYPILOT_USER",
            "SKYPILOT_CLUSTER_INFO",
            "SKYPILOT_INTERNAL_JOB_ID",
            "PYTHONUNBUFFERED",
        ]);
        namespace.write(
            "task.yaml",
            &format!("name: vars\nsetup: |\n  {setup}\nrun: |\n  {run}pwd\n"),
        );
        let out = namespace.launch("c", &["task.yaml"]).await.code(0);
        let pod = namespace.head("c").await;
        let ip = pod
            .status
            .and_then(|status| status.pod_ip)
            .expect("a running pod has an address");
        let out = out
            .says("SKYPILOT_SETUP_NODE_RANK=0")
            .says(&format!("SKYPILOT_SETUP_NODE_IPS={ip}"));
        let out = out
            .says("SKYPILOT_NUM_NODES=1")
            .says("SKYPILOT_TASK_ID=sky-")
            .says("_c_1\n");
        let out = out
            .says("SKYPILOT_NODE_RANK=0")
            .says(&format!("SKYPILOT_NODE_IPS={ip}\n"));
        let out = out
            .says("SKYPILOT_NUM_GPUS_PER_NODE=0")
            .says("SKYPILOT_USER=tester");
        let out = out
            .says("\"cluster_name\":\"c\"")
            .says("SKYPILOT_INTERNAL_JOB_ID=1")
            .says("PYTHONUNBUFFERED=1");
        out.says("(vars, pid=").says("/sky_workdir\n");
    })
    .await;
}

#[tokio::test]
async fn a_task_has_no_rights_on_the_cluster_that_it_runs_on() {
    with_namespace(async |namespace| {
        let look = "test -e /var/run/secrets/kubernetes.io && echo token || echo no token";
        namespace
            .launch("c", &[look])
            .await
            .code(0)
            .says(") no token\n");
    })
    .await;
}

#[tokio::test]
async fn five_megabytes_of_output_arrive_whole_and_in_order() {
    with_namespace(async |namespace| {
        let finished = namespace
            .launch(
                "c",
                &["seq -f 'line %06.0f of a log that is to arrive whole' 1 110000"],
            )
            .await;
        let finished = finished.code(0);
        let mut expected = 0;
        for line in finished
            .stdout
            .lines()
            .filter_map(|line| line.split_once(") line ").map(|(_, rest)| rest))
        {
            expected += 1;
            let mut whole = String::new();
            write!(whole, "{expected:06} of a log that is to arrive whole")
                .expect("a String takes every write");
            assert_eq!(line, whole);
        }
        assert_eq!(expected, 110_000);
        assert!(
            finished.stdout.len() > 5_000_000,
            "only {} bytes",
            finished.stdout.len()
        );
        let tail = namespace
            .skiff()
            .run(&["logs", "c", "--tail", "3"])
            .await
            .code(0);
        tail.says("line 110000").never_says("line 109990 ");
    })
    .await;
}

#[tokio::test]
async fn output_without_a_newline_and_with_odd_bytes_comes_through() {
    with_namespace(async |namespace| {
        namespace
            .launch("c", &["printf 'no newline: \\xc3\\xa4 \\xff end'"])
            .await
            .code(0)
            .says("no newline: ä \u{fffd} end");
        let bytes = namespace.inside("c", "cat ~/sky_logs/*/run.log").await;
        assert!(
            bytes.windows(5).any(|window| window == b"\xff end"),
            "the log has other bytes"
        );
    })
    .await;
}
