//! Flags over files, and defaults.

use skiff_schema::{ResolvedTask, ResourceOverrides, TaskFile, TaskOverrides, Workdir};

fn resolve(text: &str, overrides: &TaskOverrides) -> Result<ResolvedTask, Vec<String>> {
    let task = TaskFile::read("task.yaml", text).expect("a valid task");
    task.tasks()[0].resolve(overrides).map_err(|faults| {
        faults
            .iter()
            .map(|fault| fault.message().to_owned())
            .collect()
    })
}

#[test]
fn a_task_that_asks_for_nothing_gets_two_cpus_and_two_gigabytes() {
    let task = resolve("run: id", &TaskOverrides::default()).expect("valid");
    assert_eq!(
        (task.first().milli_cpu, task.first().memory_bytes),
        (2000, 2_000_000_000)
    );
    assert_eq!(task.resources_text(task.first()), "1x(cpus=2, mem=2)");
}

#[test]
fn amounts_are_exact() {
    let amounts = |cpus: &str, memory: &str| {
        let overrides = TaskOverrides {
            resources: ResourceOverrides {
                cpus: Some(cpus.to_owned()),
                memory: Some(memory.to_owned()),
                ..ResourceOverrides::default()
            },
            ..TaskOverrides::default()
        };
        resolve("run: id", &overrides)
            .map(|task| (task.first().milli_cpu, task.first().memory_bytes))
    };
    assert_eq!(amounts("0.1", "0.3"), Ok((100, 300_000_000)));
    assert_eq!(amounts("2+", "16+"), Ok((2000, 16_000_000_000)));
    assert_eq!(amounts("3.141", "4x"), Ok((3141, 12_564_000_000)));
    assert_eq!(amounts("1", "512MB"), Ok((1000, 512_000_000)));
    assert_eq!(amounts("1", "1.5GiB+"), Ok((1000, 1_610_612_736)));
    assert_eq!(amounts("1", "1024b"), Ok((1000, 1024)));
    assert_eq!(amounts("1.5e1", "2.5E-1"), Ok((15000, 250_000_000)));
    for (cpus, memory) in [
        ("1e", "1"),
        ("e3", "1"),
        ("1e99", "1"),
        ("1e1e1", "1"),
        ("+1", "1"),
        ("", "1"),
        ("1", "x"),
        ("1", "4x+"),
    ] {
        assert!(amounts(cpus, memory).is_err(), "{cpus} {memory}");
    }
    assert!(amounts("1000000", "99999999999x").is_err());
}

#[test]
fn flags_win_over_the_file_and_none_resets() {
    let text = "
name: file
workdir: ./here
resources: {cpus: 8, memory: 32, image_id: debian:12, infra: k8s/one}
envs: {A: file, B: ~}
run: id
";
    let overrides = TaskOverrides {
        name: Some("flag".to_owned()),
        resources: ResourceOverrides {
            cpus: Some("none".to_owned()),
            memory: Some("3".to_owned()),
            image_id: Some("docker:alpine:3".to_owned()),
            infra: Some("k8s/two".to_owned()),
            ..ResourceOverrides::default()
        },
        envs: vec![
            ("A".to_owned(), "1".to_owned()),
            ("B".to_owned(), "2".to_owned()),
        ],
        ..TaskOverrides::default()
    };
    let task = resolve(text, &overrides).expect("valid");
    assert_eq!(task.name.as_deref(), Some("flag"));
    assert_eq!(
        (task.first().milli_cpu, task.first().memory_bytes),
        (2000, 3_000_000_000)
    );
    assert_eq!(task.first().image.as_deref(), Some("alpine:3"));
    assert_eq!(task.context(), Some("two"));
    assert_eq!(task.workdir, Some(Workdir::Folder("./here".to_owned())));
    assert_eq!(task.envs["A"], "1");
    assert_eq!(task.envs["B"], "2");
}

#[test]
fn all_wrong_flags_are_told_at_once() {
    let overrides = TaskOverrides {
        name: Some("a b".to_owned()),
        resources: ResourceOverrides {
            cpus: Some("many".to_owned()),
            memory: Some("much".to_owned()),
            image_id: Some(String::new()),
            infra: Some("aws".to_owned()),
            ..ResourceOverrides::default()
        },
        envs: vec![("A-B".to_owned(), String::new())],
        ..TaskOverrides::default()
    };
    let faults = TaskFile::from_command("id").tasks()[0]
        .resolve(&overrides)
        .expect_err("all wrong");
    assert_eq!(faults.iter().count(), 6);
    assert_eq!(faults.to_string(), "the command line has 6 faults");
}

#[test]
fn a_command_is_named_as_skypilot_names_it() {
    let task = TaskFile::from_command("echo hi").tasks()[0]
        .resolve(&TaskOverrides::default())
        .expect("valid");
    assert_eq!(task.name.as_deref(), Some("sky-cmd"));
    assert_eq!(task.run.as_deref(), Some("echo hi"));
}

#[test]
fn names_follow_skypilots_rule() {
    let named = |name: &str| {
        let overrides = TaskOverrides {
            name: Some(name.to_owned()),
            ..TaskOverrides::default()
        };
        resolve("run: id", &overrides).is_ok()
    };
    for good in ["a", "1", "a-b", "a--b", "a._b", "A.b_c-9"] {
        assert!(named(good), "{good}");
    }
    for wrong in ["", "-a", "a-", "a---b", "a b", "é", "a\n"] {
        assert!(!named(wrong), "{wrong:?}");
    }
}
