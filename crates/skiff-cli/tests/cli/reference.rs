//! Flags that only the command line can read, compared with what `SkyPilot` made of them.
//!
//! `tests/reference/README.md` says how the cases are written and recorded.

#[allow(dead_code, reason = "the tests of the schema take the rest")]
#[path = "../../../skiff-schema/tests/reference/case.rs"]
mod case;
#[allow(dead_code, reason = "the tests of the schema take the rest")]
#[path = "../../../skiff-schema/tests/reference/form.rs"]
mod form;
#[allow(dead_code, reason = "the tests of the schema take the rest")]
#[path = "../../../skiff-schema/tests/reference/recorded.rs"]
mod recorded;

use serde_json::{Value, json};

use crate::sandbox::Sandbox;
use case::Case;

#[tokio::test]
async fn flags_mean_what_they_mean_in_skypilot() {
    let recorded = recorded::recorded();
    let mut found = Vec::new();
    for case in recorded::of_the_command_line() {
        let difference = match recorded.get(&case.name) {
            Some(reference) => difference(&case, reference).await,
            None => Some("  not recorded: run cargo xtask reference".to_owned()),
        };
        found.push((case.name, difference));
    }
    recorded::judge(found);
}

async fn difference(case: &Case, reference: &Value) -> Option<String> {
    let expected = match reference["error"].as_str() {
        Some(error) => Err(error),
        None => Ok(tasks(&reference["tasks"])),
    };
    match (expected, shown(case).await) {
        (Err(_), Err(_)) => None,
        (Ok(expected), Ok(found)) if expected == found => None,
        (expected, found) => Some(format!("  SkyPilot: {expected:?}\n  Skiff:    {found:?}")),
    }
}

/// The tasks as `skiff task show` has them.
async fn shown(case: &Case) -> Result<Vec<Value>, String> {
    let sandbox = Sandbox::new();
    sandbox.write("task.yaml", &case.task);
    for (name, text) in &case.files {
        sandbox.write(name, text);
    }
    let mut words = vec!["task", "show", "task.yaml", "-o", "json"];
    words.extend(case.flags.iter().map(String::as_str));
    let skiff = sandbox.skiff().with("LOCAL_VALUE", "from the local shell");
    let finished = skiff.run(&words).await;
    if finished.code != Some(0) {
        return Err(finished.stderr);
    }
    let shown = serde_json::from_str(&finished.stdout).expect("JSON");
    Ok(tasks(&shown))
}

/// One task or several in their common form, secrets by their names.
fn tasks(value: &Value) -> Vec<Value> {
    let list = match value {
        Value::Array(tasks) => tasks.clone(),
        task => vec![task.clone()],
    };
    let common = |mut task: Value| {
        let mut names: Vec<Value> = match &task["secrets"] {
            Value::Object(secrets) => secrets.keys().map(|name| json!(name)).collect(),
            Value::Array(names) => names.clone(),
            _ => Vec::new(),
        };
        names.sort_by_key(ToString::to_string);
        task["secrets"] = Value::Array(names);
        form::task(task)
    };
    list.into_iter().map(common).collect()
}
