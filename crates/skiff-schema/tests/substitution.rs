//! Variables in `workdir`, `file_mounts`, `volumes` and `service`.

use std::collections::BTreeMap;

use proptest::prelude::*;
use skiff_schema::{FileMount, TaskFile, TaskOverrides, Workdir};

/// What is wrong with a task, message by message.
fn faults(text: &str, overrides: &TaskOverrides) -> Vec<String> {
    let read = TaskFile::read("task.yaml", text);
    let resolved = read.and_then(|file| file.tasks()[0].resolve(overrides));
    let faults = resolved.expect_err("wrong");
    faults.iter().map(ToString::to_string).collect()
}

fn workdir_with(variables: &BTreeMap<String, String>, workdir: &str) -> String {
    let text = format!("workdir: {}\n", serde_json::json!(workdir));
    let file = TaskFile::read("task.yaml", &text).expect("valid");
    let overrides = TaskOverrides {
        envs: variables.clone().into_iter().collect(),
        ..TaskOverrides::default()
    };
    let task = file.tasks()[0].resolve(&overrides).expect("valid");
    let Some(Workdir::Folder(path)) = task.workdir else {
        unreachable!("a string is a folder")
    };
    path
}

fn resolved(text: &str) -> skiff_schema::ResolvedTask {
    let file = TaskFile::read("task.yaml", text).expect("valid");
    let resolved = file.tasks()[0].resolve(&TaskOverrides::default());
    resolved.expect("valid")
}

#[test]
fn variables_are_replaced_in_the_fields_that_have_paths_and_services_and_nowhere_else() {
    let task = resolved(
        r#"
name: x
envs: {A: one, PORT: 8081}
workdir: {url: "https://host/${A}", ref: $A}
file_mounts: {"/${A}/x": "s3://$A/y", /b: {name: $A-bucket, source: "./${A}"}}
volumes: {/mnt/$A: "${A}-disk"}
service: {readiness_probe: {path: "/$A", post_data: {model: "${A}"}}}
setup: echo $A
run: echo ${A} $PORT
"#,
    );
    let json = task.to_json();
    assert_eq!(json["workdir"]["url"], "https://host/one");
    assert_eq!(json["workdir"]["ref"], "one");
    assert_eq!(json["file_mounts"]["/one/x"], "s3://one/y");
    assert_eq!(json["file_mounts"]["/b"]["name"], "one-bucket");
    assert_eq!(json["file_mounts"]["/b"]["source"], "./one");
    assert_eq!(json["volumes"]["/mnt/one"], "one-disk");
    assert_eq!(json["service"]["readiness_probe"]["path"], "/one");
    assert_eq!(
        json["service"]["readiness_probe"]["post_data"]["model"],
        "one"
    );
    assert_eq!(json["setup"], "echo $A");
    assert_eq!(json["run"], "echo ${A} $PORT");
}

#[test]
fn values_are_taken_as_they_are() {
    let variables = BTreeMap::from([
        ("QUOTES".to_owned(), r#"say "hi" \n 'x'"#.to_owned()),
        ("LINES".to_owned(), "a\nb".to_owned()),
        ("DOLLAR".to_owned(), "$LINES ${QUOTES}".to_owned()),
    ]);
    let with = |text: &str| workdir_with(&variables, text);
    assert_eq!(with("./$QUOTES"), r#"./say "hi" \n 'x'"#);
    assert_eq!(with("${LINES}!"), "a\nb!");
    assert_eq!(with("$DOLLAR"), "$LINES ${QUOTES}");
}

#[test]
fn unknown_variables_and_lone_dollars_stay() {
    let variables = BTreeMap::from([("A".to_owned(), "x".to_owned())]);
    let with = |text: &str| workdir_with(&variables, text);
    assert_eq!(with("$B ${C} $ $1 $$A ${"), "$B ${C} $ $1 $x ${");
    assert_eq!(with("$AB ${A}B $A-B"), "$AB xB x-B");
    assert_eq!(with("${A:-y} ${A/$A}"), "x:-y} x/x");
    assert_eq!(with("ü$Aü"), "üxü");
}

#[test]
fn mounts_that_become_one_are_a_fault() {
    let text = "envs: {A: x, B: x}\nfile_mounts: {/$A: ./one, /$B: ./two}\n";
    let told = faults(text, &TaskOverrides::default());
    assert_eq!(
        told,
        ["task.yaml:2:27: two keys are the same once variables have their values"]
    );
}

#[test]
fn what_variables_make_wrong_is_found_when_they_have_their_values() {
    let text = "envs: {A: ./x/, B: }\nfile_mounts: {/a: $A}\nvolumes: {$B: disk}\n";
    let overrides = |b: &str| TaskOverrides {
        envs: vec![("B".to_owned(), b.to_owned())],
        ..TaskOverrides::default()
    };
    let told = faults(text, &overrides("relative"));
    assert_eq!(
        told,
        [
            "task.yaml:2:19: `file_mounts./a`: `./x/` must not end with `/`",
            "task.yaml:3:11: `volumes`: `relative` is no absolute path",
        ]
    );
}

#[test]
fn long_values_in_many_places_are_refused_and_not_written_out() {
    let text = format!(
        "envs: {{A: {}}}\nworkdir: {}\n",
        "x".repeat(100_000),
        "$A".repeat(100_000)
    );
    let told = faults(&text, &TaskOverrides::default());
    assert_eq!(
        told,
        ["task.yaml:2:10: variables add more than 1048576 bytes"]
    );
}

#[test]
fn a_secret_wins_over_a_variable_and_is_shown_nowhere() {
    let text = "
envs: {WHERE: open}
secrets: {WHERE: hidden-value}
workdir: ./$WHERE
file_mounts: {/a: s3://bucket/$WHERE, /b: ./plain}
";
    let task = resolved(text);
    assert_eq!(
        task.workdir,
        Some(Workdir::Folder("./hidden-value".to_owned()))
    );
    let cloud = FileMount::Cloud("s3://bucket/hidden-value".to_owned());
    assert_eq!(task.file_mounts["/a"], cloud);
    let json = task.to_json();
    assert_eq!(json["workdir"], "./$WHERE");
    assert_eq!(json["file_mounts"]["/a"], "s3://bucket/$WHERE");
    assert_eq!(json["secrets"], serde_json::json!(["WHERE"]));
    for shown in [json.to_string(), format!("{task:?}")] {
        assert!(!shown.contains("hidden"), "{shown}");
    }
}

#[test]
fn a_fault_of_what_a_secret_makes_does_not_show_it() {
    let text = "secrets: {T: hidden/}\nfile_mounts: {/$T: ./x/$T, /b: {source: $T}}\n";
    let told = faults(text, &TaskOverrides::default());
    assert!(!told.is_empty());
    for message in &told {
        assert!(message.contains("`file_mounts` is wrong"), "{message}");
        assert!(!message.contains("hidden"), "{message}");
    }
}

/// What Python makes of `re.sub(r"\$\{?\b([a-zA-Z_][a-zA-Z0-9_]*)\b\}?", …)`, written another way.
fn model(variables: &BTreeMap<String, String>, text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut at = 0;
    while at < chars.len() {
        let open = usize::from(chars.get(at + 1) == Some(&'{'));
        let begin = at + 1 + open;
        let is_word = |char: &char| char.is_ascii_alphanumeric() || *char == '_';
        let name: String = chars[begin.min(chars.len())..]
            .iter()
            .take_while(|char| is_word(char))
            .collect();
        let starts = name.starts_with(|first: char| !first.is_ascii_digit());
        if chars[at] != '$' || !starts {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        let mut end = begin + name.len();
        end += usize::from(chars.get(end) == Some(&'}'));
        match variables.get(&name) {
            Some(value) => out.push_str(value),
            None => out.extend(&chars[at..end]),
        }
        at = end;
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn texts_are_as_python_would_make_them(
        text in r#"(\$|\{|\}|A|B|AB|_|1|-|/|é|"|\\|\n|:| |\$A|\$\{B\}){1,30}"#,
        values in prop::collection::btree_map("A|B|AB|_|_1", r#"(\$|A|\{|\}|"|\\|\n|é){0,5}"#, 0..4),
    ) {
        // One that becomes empty is no workdir at all.
        let text = format!("w{text}");
        prop_assert_eq!(workdir_with(&values, &text), model(&values, &text));
    }

    #[test]
    fn the_value_of_a_secret_is_in_nothing_that_is_shown(
        place in 0..6_usize,
        wrong in "(: |\\{|\"|x|/|-){0,4}",
        field in "(num_nodes: x|foo: 1|name: \\[|resources: \\{cpus: many\\}|run: id)",
    ) {
        let secret = "hunter2";
        let block = [
            format!("secrets: {{T: {secret}, {wrong}: y}}"),
            format!("secrets:\n  T: {secret}\n  {wrong}"),
            format!("secrets:\n  T: |\n    {wrong}\n    {secret}"),
            format!("secrets:\n- {secret}{wrong}"),
            format!("secrets: {secret}{wrong}"),
            format!("secret:\n  T: \"{secret}{wrong}"),
        ];
        let text = format!("{field}\n{}\n{field}\nfile_mounts: {{/$T: s3:/$T/}}\n", block[place]);
        let read = TaskFile::read("task.yaml", &text);
        let shown = match read.and_then(|file| file.tasks()[0].resolve(&TaskOverrides::default())) {
            Ok(task) => format!("{task:?}"),
            Err(faults) => {
                let mut shown = format!("{faults:?}");
                miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::none())
                    .render_report(&mut shown, &faults)
                    .expect("a String takes every write");
                shown
            }
        };
        prop_assert!(!shown.contains(secret), "{}", shown);
    }
}
