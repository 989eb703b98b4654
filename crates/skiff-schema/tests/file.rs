//! Files with one task and with several: pipelines, job groups, and what is wrong with them.

use std::fmt::Write as _;

use skiff_schema::{FileKind, ResolvedTask, TaskFile, TaskOverrides};

fn read(text: &str) -> TaskFile {
    TaskFile::read("task.yaml", text).expect("valid")
}

/// Every fault of a file, with its place.
fn faults(text: &str) -> Vec<String> {
    let faults = TaskFile::read("task.yaml", text).expect_err("wrong");
    faults.iter().map(ToString::to_string).collect()
}

fn resolve(file: &TaskFile) -> Vec<ResolvedTask> {
    let tasks = file.tasks().iter();
    tasks
        .map(|task| task.resolve(&TaskOverrides::default()).expect("valid"))
        .collect()
}

#[test]
fn a_header_with_a_name_makes_a_pipeline() {
    let file = read("name: both\n---\nname: one\nrun: a\n---\nrun: b\n");
    let name = Some("both".to_owned());
    assert_eq!(file.kind(), &FileKind::Pipeline { name });
    let tasks = resolve(&file);
    assert_eq!(tasks[0].name.as_deref(), Some("one"));
    assert_eq!(tasks[1].name, None);
    let serial = read("name: both\nexecution: serial\n---\nrun: a\n---\nrun: b\n");
    assert_eq!(serial.kind(), file.kind());
    assert_eq!(serial.tasks().len(), 2);
}

#[test]
fn documents_without_a_header_are_a_pipeline_without_a_name() {
    let file = read("---\n---\nname: a\nrun: a\n---\n---\nrun: b\n");
    assert_eq!(file.kind(), &FileKind::Pipeline { name: None });
    assert_eq!(file.tasks().len(), 2);
}

#[test]
fn a_header_before_one_task_gives_it_its_name() {
    let file = read("name: header\n---\nrun: a\n");
    assert_eq!(file.kind(), &FileKind::Single);
    assert_eq!(resolve(&file)[0].name.as_deref(), Some("header"));
    let named = read("name: header\n---\nname: own\nrun: a\n");
    assert_eq!(resolve(&named)[0].name.as_deref(), Some("own"));
    let empty = read("name: header\n---\nname:\nrun: a\n");
    assert_eq!(resolve(&empty)[0].name.as_deref(), Some("header"));
}

#[test]
fn a_name_alone_is_a_task() {
    let file = read("name: only\n");
    assert_eq!(file.kind(), &FileKind::Single);
    assert_eq!(resolve(&file)[0].name.as_deref(), Some("only"));
}

#[test]
fn parallel_execution_makes_a_job_group() {
    let file = read(
        "
name: group
execution: parallel
primary_tasks: [trainer]
termination_delay: {default: 30s, buffer: 2M}
inter_connection: false
---
name: trainer
run: a
---
name: buffer
run: b
",
    );
    let FileKind::JobGroup(group) = file.kind() else {
        panic!("{:?}", file.kind())
    };
    assert_eq!(group.name, "group");
    assert_eq!(group.primary_tasks, ["trainer"]);
    assert_eq!(group.termination_delay.default_seconds, Some(30));
    assert_eq!(group.termination_delay.seconds["buffer"], 120);
    assert!(!group.inter_connection);
    let plain = read("name: g\nexecution: parallel\ntermination_delay: 45\n---\nname: a\nrun: a\n");
    let FileKind::JobGroup(group) = plain.kind() else {
        panic!("{:?}", plain.kind())
    };
    assert!(group.primary_tasks.is_empty() && group.inter_connection);
    assert_eq!(group.termination_delay.default_seconds, Some(45));
}

#[test]
fn wrong_groups_are_told_fault_by_fault() {
    let text = "
name: my.group
execution: parallel
primary_tasks: [trainr]
termination_delay: {nobody: 30s, b: soon}
colour: red
---
name: trainer
run: a
---
run: b
---
name: trainer
run: c
";
    assert_eq!(
        faults(text),
        [
            "task.yaml:2:7: `name`: `my.group` is not a name within a job group",
            "task.yaml:4:17: `primary_tasks`: the group has no task `trainr`",
            "task.yaml:5:21: `termination_delay`: the group has no task `nobody`",
            "task.yaml:5:34: `termination_delay`: the group has no task `b`",
            "task.yaml:5:37: `termination_delay.b`: `soon` is not a time",
            "task.yaml:6:1: unknown field `colour`",
            "task.yaml:11:1: a task of a job group has no `name`",
            "task.yaml:13:7: two tasks of the job group are called `trainer`",
        ]
    );
}

#[test]
fn faults_of_all_documents_are_told_at_once() {
    let text = "name: x\n---\nfoo: 1\n---\nhello\n---\nrun: [a]\nnum_nodes: 0\n";
    assert_eq!(
        faults(text),
        [
            "task.yaml:3:1: unknown field `foo`",
            "task.yaml:5:1: a task must be a mapping, and this is a string",
            "task.yaml:7:6: `run` must be a string, and this is a list",
            "task.yaml:8:12: `num_nodes` must be from 1 to 100000, and this is 0",
        ]
    );
}

#[test]
fn faults_of_shape_and_faults_between_fields_are_told_at_once() {
    let text = "
run: 1
service: {replicas: 1}
pool: {workers: x}
workdir: .
file_mounts: {~/sky_workdir: ./a, /b: {}}
volumes: {/c: {}, d: disk}
";
    assert_eq!(
        faults(text),
        [
            "task.yaml:2:6: `run` must be a string, and this is a whole number",
            "task.yaml:4:1: `service` and `pool` exclude each other",
            "task.yaml:4:17: `pool.workers` must be a whole number, and this is a string",
            "task.yaml:6:15: `~/sky_workdir` is where `workdir` goes",
            "task.yaml:6:39: `file_mounts./b` has neither a `name` nor a `source`",
            "task.yaml:7:15: `volumes./c` has neither `name` nor `size`",
            "task.yaml:7:19: `volumes`: `d` is no absolute path",
        ]
    );
}

#[test]
fn files_without_a_task_are_refused() {
    for text in ["", "# nothing\n", "---\n---\n", "{}\n", "~\n"] {
        let told = faults(text);
        assert_eq!(
            told,
            ["task.yaml: the file is empty or contains no task definition"],
            "{text:?}"
        );
    }
}

#[test]
fn fields_that_machines_write_are_passed_over() {
    let text = "run: a\n_metadata: {git_commit: x}\nfile_mounts_mapping: {}\nvolume_mounts: []\n";
    assert_eq!(resolve(&read(text)).len(), 1);
}

#[test]
fn fields_without_effect_are_remarked_and_kept() {
    let text = "run: a\ninputs: {s3://data: 10}\napi_server_access: false\nevent_callback: echo\n";
    let task = resolve(&read(text)).remove(0);
    let remarked: Vec<&str> = task.remarks.iter().map(|r| r.path.as_str()).collect();
    assert_eq!(remarked, ["inputs", "api_server_access"]);
    let json = task.to_json();
    assert_eq!(json["inputs"]["s3://data"], 10);
    assert_eq!(json["api_server_access"], false);
    assert_eq!(json["event_callback"], "echo");
    let two = faults("inputs: {a: 1, b: 2}\n");
    assert_eq!(two, ["task.yaml:1:16: `inputs` names several places"]);
}

#[test]
fn a_task_is_shown_without_the_values_of_secrets() {
    let file = read("name: x\nsecrets: {TOKEN: hunter2}\nrun: a\n");
    let task = resolve(&file).remove(0);
    for shown in [format!("{file:?}"), format!("{task:?}")] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let revealed: Vec<(&str, &str)> = task.secrets.reveal().collect();
    assert_eq!(revealed, [("TOKEN", "hunter2")]);
}

#[test]
fn json_has_the_fields_that_programs_rely_on() {
    let json = resolve(&read("run: a\nresources: {ports: [8000-8010, 9000]}\n"))[0].to_json();
    let expected = serde_json::json!({
        "infra": null, "cpus": 2, "memory": 2, "accelerators": null, "image_id": null,
        "ports": ["8000-8010", "9000"], "disk_size": 256, "use_spot": false, "labels": {},
        "autostop": null, "any_of": false, "ordered": false,
    });
    assert_eq!(json["resources"][0], expected);
    for name in ["name", "workdir", "setup", "service", "pool"] {
        assert!(json[name].is_null(), "{name}");
    }
    for name in ["envs", "file_mounts", "volumes"] {
        assert_eq!(json[name], serde_json::json!({}), "{name}");
    }
    assert_eq!((&json["num_nodes"], &json["run"]), (&1.into(), &"a".into()));
}

#[test]
fn many_documents_are_read_and_resolved() {
    let mut text = "name: many\n".to_owned();
    for number in 0..1000 {
        write!(
            text,
            "---\nname: task-{number}\nenvs: {{A: {number}}}\nworkdir: ./$A\nrun: echo\n"
        )
        .expect("a String takes every write");
    }
    let tasks = resolve(&read(&text));
    assert_eq!(tasks.len(), 1000);
    assert_eq!(tasks[999].to_json()["workdir"], "./999");
}
