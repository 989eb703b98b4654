//! Variables, secrets, and the flags that change a task outside of its resources.

use skiff_schema::{ManagedSecret, ResolvedTask, TaskFile, TaskOverrides, Workdir};

fn resolve(text: &str, overrides: &TaskOverrides) -> Result<ResolvedTask, Vec<String>> {
    let read = TaskFile::read("task.yaml", text);
    let resolved = read.and_then(|file| file.tasks()[0].resolve(overrides));
    resolved.map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

fn plain(text: &str) -> ResolvedTask {
    resolve(text, &TaskOverrides::default()).expect("valid")
}

fn wrong(text: &str) -> Vec<String> {
    resolve(text, &TaskOverrides::default()).expect_err("wrong")
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = pairs.iter();
    owned
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn values_are_as_pythons_str_writes_them() {
    let task =
        plain("envs: {A: yes, B: 010, C: 1:30, D: [1, x], E: {a: 1}, F: '', _1: 2024-01-01}\n");
    let values: Vec<(&str, &str)> = task
        .envs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let expected = [
        ("A", "True"),
        ("B", "8"),
        ("C", "90"),
        ("D", "[1, 'x']"),
        ("E", "{'a': 1}"),
        ("F", ""),
        ("_1", "2024-01-01"),
    ];
    assert_eq!(values, expected);
}

#[test]
fn a_variable_without_a_value_must_be_given() {
    let text = "envs:\n  A:\n  B: ~\n";
    let told = wrong(text);
    assert_eq!(
        told,
        [
            "task.yaml:2:3: the variable `A` has no value",
            "task.yaml:3:3: the variable `B` has no value",
        ]
    );
    let overrides = TaskOverrides {
        envs: pairs(&[("A", "1"), ("B", "2"), ("A", "3"), ("C", "4")]),
        ..TaskOverrides::default()
    };
    let task = resolve(text, &overrides).expect("valid");
    assert_eq!(
        (task.envs["A"].as_str(), task.envs["B"].as_str()),
        ("3", "2")
    );
    assert_eq!(task.envs["C"], "4");
}

#[test]
fn names_that_no_shell_knows_are_refused() {
    assert_eq!(
        wrong("envs: {A-B: 1, 1A: 2}\n"),
        [
            "task.yaml:1:8: `envs`: `A-B` is not the name of a variable",
            "task.yaml:1:16: `envs`: `1A` is not the name of a variable",
        ]
    );
}

#[test]
fn secrets_without_a_value_are_kept_elsewhere_until_a_flag_gives_one() {
    let managed = |name: &str, scope: Option<&str>, mount_path: Option<&str>| ManagedSecret {
        name: name.to_owned(),
        scope: scope.map(str::to_owned),
        mount_path: mount_path.map(str::to_owned),
    };
    let text = "
secrets: {A: , 'secrets:personal.B': , C: value, my-token: x}
managed_secrets: [global.D, {KEY: {mount_path: ~/.ssh/key}}]
";
    let task = plain(text);
    let expected = [
        managed("A", None, None),
        managed("B", Some("personal"), None),
        managed("D", Some("global"), None),
        managed("KEY", None, Some("~/.ssh/key")),
    ];
    assert_eq!(task.managed_secrets, expected);
    assert_eq!(task.secrets.names().collect::<Vec<_>>(), ["C", "my-token"]);
    let overrides = TaskOverrides {
        secrets: pairs(&[("A", "1"), ("B", "2"), ("C", "3"), ("D", "4"), ("KEY", "5")]),
        ..TaskOverrides::default()
    };
    let task = resolve(text, &overrides).expect("valid");
    assert!(task.managed_secrets.is_empty());
    assert_eq!(task.secrets.reveal_one("A"), Some("1"));
    assert_eq!(task.secrets.reveal_one("C"), Some("3"));
    let list = plain("secrets: [secrets:workspace.X, secrets:Y]\n");
    let expected = [
        managed("X", Some("workspace"), None),
        managed("Y", None, None),
    ];
    assert_eq!(list.managed_secrets, expected);
}

#[test]
fn wrong_secrets_are_refused_without_their_values() {
    let text = "
secrets: {'secrets:A': hunter2, 'B C': hunter2}
managed_secrets:
- {A: {}, B: {}}
- KEY: {path: /x}
";
    assert_eq!(
        wrong(text),
        [
            "task.yaml:2:11: `secrets.secrets:A` refers to a secret and has a value too",
            "task.yaml:2:33: `secrets`: this is not the name of a secret",
            "task.yaml:4:3: `managed_secrets[0]` names several secrets",
            "task.yaml:5:9: unknown field `managed_secrets[1].KEY.path`",
        ]
    );
    assert_eq!(
        wrong("secrets: [HF_TOKEN]\n"),
        ["task.yaml:1:11: `secrets[0]`: an item must refer to a secret that is kept elsewhere"]
    );
}

#[test]
fn the_same_name_may_be_a_variable_and_a_secret() {
    let task = plain("envs: {A: open}\nsecrets: {A: hidden}\n");
    assert_eq!(task.envs["A"], "open");
    assert_eq!(task.secrets.reveal_one("A"), Some("hidden"));
}

#[test]
fn the_log_in_of_a_registry_is_whole_and_in_one_place() {
    let [user, password, server] = ["USERNAME", "PASSWORD", "SERVER"].map(|part| {
        let name = format!("SKYPILOT_DOCKER_{part}");
        format!("{name}: x")
    });
    let whole = format!("secrets: {{{user}, {password}, {server}}}\n");
    assert!(resolve(&whole, &TaskOverrides::default()).is_ok());
    let split = format!("envs: {{{user}, {server}}}\nsecrets: {{{password}}}\n");
    assert_eq!(
        wrong(&split),
        [
            "task.yaml:2:1: the log-in of the registry is split: part of it is in `envs`, part of it in `secrets`"
        ]
    );
    let part = format!("secrets: {{{user}, {server}}}\n");
    assert_eq!(
        wrong(&part),
        [
            "task.yaml:1:1: the log-in of the registry in `secrets` is incomplete: `SKYPILOT_DOCKER_PASSWORD` is missing"
        ]
    );
    let overrides = TaskOverrides {
        secrets: pairs(&[("SKYPILOT_DOCKER_PASSWORD", "x")]),
        ..TaskOverrides::default()
    };
    assert!(resolve(&part, &overrides).is_ok());
}

#[test]
fn workdir_is_a_folder_or_a_git_repository_and_flags_win() {
    let flags = |workdir: Option<&str>, url: Option<&str>, reference: Option<&str>| TaskOverrides {
        workdir: workdir.map(str::to_owned),
        git_url: url.map(str::to_owned),
        git_ref: reference.map(str::to_owned),
        ..TaskOverrides::default()
    };
    let git = |url: &str, reference: Option<&str>| {
        Some(Workdir::Git {
            url: url.to_owned(),
            reference: reference.map(str::to_owned),
        })
    };
    let folder = |path: &str| Some(Workdir::Folder(path.to_owned()));
    let cases = [
        ("workdir: ./a", flags(None, None, None), folder("./a")),
        (
            "workdir: ./a",
            flags(Some("./b"), None, None),
            folder("./b"),
        ),
        ("workdir: {url: u}", flags(None, None, None), git("u", None)),
        (
            "workdir: {url: u, ref: r}",
            flags(None, None, Some("s")),
            git("u", Some("s")),
        ),
        (
            "workdir: {url: u, ref: r}",
            flags(None, Some("v"), None),
            git("v", Some("r")),
        ),
        (
            "workdir: {url: u, ref: r}",
            flags(Some("./b"), None, None),
            folder("./b"),
        ),
        (
            "workdir: ./a",
            flags(None, Some("v"), Some("s")),
            git("v", Some("s")),
        ),
        ("workdir: ''", flags(None, None, None), None),
    ];
    for (text, overrides, expected) in cases {
        let task = resolve(text, &overrides).expect("valid");
        assert_eq!(task.workdir, expected, "{text} {overrides:?}");
    }
    let told = resolve("run: a", &flags(Some("a"), Some("b"), None)).expect_err("both");
    assert_eq!(told, ["`--workdir` and `--git-url` exclude each other"]);
    let told = resolve("workdir: ./a", &flags(None, None, Some("main"))).expect_err("no url");
    assert_eq!(told, ["`--git-ref` names a part of no git repository"]);
    assert_eq!(
        wrong("workdir: {ref: main, branch: x}\n"),
        [
            "task.yaml:1:10: `workdir` has no `url`",
            "task.yaml:1:22: unknown field `workdir.branch`",
        ]
    );
}

#[test]
fn the_number_of_nodes_is_a_whole_number_of_the_file_or_of_a_flag() {
    let with = |text: &str, flag: Option<&str>| {
        let overrides = TaskOverrides {
            num_nodes: flag.map(str::to_owned),
            ..TaskOverrides::default()
        };
        resolve(text, &overrides).map(|task| task.num_nodes)
    };
    assert_eq!(with("run: a", None), Ok(1));
    assert_eq!(with("num_nodes: 010", None), Ok(8));
    assert_eq!(with("num_nodes: 2", Some("4")), Ok(4));
    for text in [
        "num_nodes: 0",
        "num_nodes: '2'",
        "num_nodes: 2.0",
        "num_nodes: yes",
    ] {
        assert!(with(text, Some("4")).is_err(), "{text}");
    }
    for flag in ["0", "-1", "two", "", "1.5", "99999999999"] {
        assert!(with("run: a", Some(flag)).is_err(), "{flag}");
    }
}

#[test]
fn flags_show_no_secret_in_debug() {
    let overrides = TaskOverrides {
        secrets: pairs(&[("TOKEN", "hunter2")]),
        ..TaskOverrides::default()
    };
    let shown = format!("{overrides:?}");
    assert!(
        shown.contains("TOKEN") && !shown.contains("hunter2"),
        "{shown}"
    );
}
