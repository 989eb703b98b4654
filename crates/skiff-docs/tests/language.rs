//! Examples, schemas and Skiff itself agree on the language.

use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde_json::{Map, Number, Value};
use skiff_docs::{FileOf, example, json_schema, placed_fields, records_of};
use skiff_schema::{CONFIG, Faults, JOB_GROUP, PIPELINE, TASK, VOLUME_FILE, yaml};

/// Fields of other platforms, which Skiff knows only to say that Kubernetes has no such thing.
const ALWAYS_REFUSED: [&str; 4] = [
    "resources.zone",
    "resources.any_of[].zone",
    "volumes.*.host_path",
    "volumes.*.mode",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn task_schema() -> Validator {
    let schema = json_schema("Task", &TASK, &[&PIPELINE, &JOB_GROUP]);
    jsonschema::draft7::new(&schema).expect("a valid schema")
}

fn config_schema() -> Validator {
    let schema = json_schema("Configuration", &CONFIG, &[]);
    jsonschema::draft7::new(&schema).expect("a valid schema")
}

fn volume_schema() -> Validator {
    let schema = json_schema("Volume", &VOLUME_FILE, &[]);
    jsonschema::draft7::new(&schema).expect("a valid schema")
}

/// The documents of a text as JSON; None where it is no YAML.
fn documents_of(text: &str) -> Option<Vec<Value>> {
    let documents = yaml::documents("case.yaml", text).ok()?;
    Some(documents.iter().map(|node| json(&node.value)).collect())
}

fn json(value: &yaml::Value) -> Value {
    match value {
        yaml::Value::Null => Value::Null,
        yaml::Value::Bool(value) => Value::Bool(*value),
        yaml::Value::Int(value) => serde_json::from_str(&value.to_string()).unwrap_or(Value::Null),
        yaml::Value::Float(value) => Number::from_f64(*value).map_or(Value::Null, Value::Number),
        yaml::Value::Sequence(items) => items.iter().map(|item| json(&item.value)).collect(),
        yaml::Value::Mapping(entries) => {
            let name = |entry: &yaml::Entry| entry.key.value.to_python_string();
            let pairs = entries
                .iter()
                .map(|entry| (name(entry), json(&entry.value.value)));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
        // Texts, and what editors take for texts.
        _ => Value::String(value.to_python_string()),
    }
}

/// What a schema has against a text.
fn objections(schema: &Validator, text: &str) -> Vec<String> {
    let Some(documents) = documents_of(text) else {
        return vec!["no YAML".to_owned()];
    };
    let errors = documents
        .iter()
        .flat_map(|document| schema.iter_errors(document));
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

/// What a folder holds.
fn entries(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).expect("a folder of the repository");
    entries
        .map(|entry| entry.expect("readable").path())
        .collect()
}

fn told(faults: &Faults) -> String {
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    faults.join("\n")
}

#[test]
fn every_field_has_an_example_that_skiff_and_editors_accept() {
    let (task, config, volume) = (task_schema(), config_schema(), volume_schema());
    let fields = placed_fields();
    assert!(fields.len() > 200, "only {} fields", fields.len());
    let mut wrong = Vec::new();
    for placed in fields {
        let name = placed.to_string();
        let is_leaf = records_of(&placed.field.form, &placed.place).is_empty();
        if placed.field.example.is_empty() {
            wrong.extend(is_leaf.then(|| format!("{name} has no example")));
            continue;
        }
        if ALWAYS_REFUSED.contains(&name.as_str()) {
            continue;
        }
        let schema = match placed.kind {
            FileOf::Config => &config,
            FileOf::Volume => &volume,
            FileOf::Task | FileOf::Header => &task,
        };
        match example(&placed) {
            Ok(file) => {
                let objections = objections(schema, &file);
                let is_refused = !objections.is_empty();
                wrong.extend(is_refused.then(|| format!("{name}:\n{file}{objections:?}")));
            }
            Err((file, faults)) => wrong.push(format!("{name}:\n{file}{}", told(&faults))),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} examples:\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
}

#[test]
fn files_that_skiff_reads_are_valid_in_an_editor() {
    let (task, config) = (task_schema(), config_schema());
    let examples = entries("examples").into_iter();
    let tasks = examples.filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    let cases = entries("tests/cases");
    let tasks = tasks.chain(cases.iter().map(|case| case.join("task.yaml")));
    let configs = cases.iter().map(|case| case.join("config.yaml"));
    let files = tasks
        .map(|file| (&task, file))
        .chain(configs.map(|file| (&config, file)));
    let mut count = 0;
    for (schema, file) in files {
        if let Ok(text) = fs::read_to_string(&file) {
            let objections = objections(schema, &text);
            assert!(objections.is_empty(), "{}: {objections:?}", file.display());
            count += 1;
        }
    }
    assert!(count > 25, "only {count} files");
}

#[test]
fn most_files_that_skiff_refuses_are_invalid_in_an_editor_too() {
    let (task, config) = (task_schema(), config_schema());
    let (mut refused, mut passed) = (0, Vec::new());
    for case in entries("tests/cases/errors") {
        let text = |name: &str| fs::read_to_string(case.join(name)).unwrap_or_default();
        let objects = !objections(&task, &text("task.yaml")).is_empty()
            || !objections(&config, &text("config.yaml")).is_empty();
        if objects {
            refused += 1;
        } else {
            passed.push(case);
        }
    }
    // Faults between fields and notations without a pattern are Skiff's alone to find.
    assert!(
        refused > passed.len(),
        "{refused} refused, passed: {passed:?}"
    );
}
