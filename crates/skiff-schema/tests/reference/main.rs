//! Skiff reads task files as `SkyPilot` does: compared with what `SkyPilot` made of the same cases.
//!
//! `tests/reference/README.md` says how the cases are written and recorded.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "the cases lie in files, and a bad one stops the test; the crate itself is pure"
)]

mod case;
mod configuration;
mod flags;
mod form;
#[allow(dead_code, reason = "the tests of the command line take the rest")]
mod recorded;

use serde_json::{Value as Json, json};
use skiff_schema::{Fault, Faults, FileKind, ResolvedTask, TaskFile, Workdir};

use case::Case;
use flags::Flags;

#[test]
fn task_files_mean_what_they_mean_in_skypilot() {
    let recorded = recorded::recorded();
    let found = recorded::of_the_schema().into_iter().map(|case| {
        let difference = match recorded.get(&case.name) {
            Some(reference) => difference(&case, reference),
            None => Some("  not recorded: run cargo xtask reference".to_owned()),
        };
        (case.name, difference)
    });
    recorded::judge(found.collect());
}

/// What `SkyPilot` and Skiff say, where that is not the same.
fn difference(case: &Case, reference: &Json) -> Option<String> {
    let flags = Flags::read(&case.flags);
    let expected = expected(reference, &flags);
    match (expected, read(case, &flags)) {
        (Err(_), Err(_)) => None,
        (Ok(expected), Ok(found)) if expected == found => None,
        (Ok(expected), Ok(found)) => Some(format!("  SkyPilot: {expected}\n  Skiff:    {found}")),
        (Err(error), Ok(found)) => {
            Some(format!("  SkyPilot refuses: {error}\n  Skiff:    {found}"))
        }
        (Ok(expected), Err(faults)) => {
            Some(format!("  SkyPilot: {expected}\n  Skiff refuses: {faults}"))
        }
    }
}

fn expected<'a>(reference: &'a Json, flags: &Flags) -> Result<Json, &'a str> {
    if let Some(error) = reference["error"].as_str() {
        return Err(error);
    }
    let tasks = reference["tasks"].as_array().cloned().unwrap_or_default();
    let tasks: Vec<Json> = tasks
        .into_iter()
        .map(|mut task| {
            let fields = task.as_object_mut().expect("a task is an object");
            let section = configuration::recorded(fields);
            if !flags.config.is_empty() {
                // SkyPilot writes the flags into the task; what they come to is in the section.
                fields.remove("config");
            }
            fields.insert("kubernetes".to_owned(), section);
            form::task(task)
        })
        .collect();
    Ok(json!({ "tasks": tasks, "group": form::group(reference["group"].clone()) }))
}

fn read(case: &Case, flags: &Flags) -> Result<Json, String> {
    let told = |faults: Faults| {
        let messages: Vec<&str> = faults.iter().map(Fault::message).collect();
        messages.join("; ")
    };
    let config = configuration::layers(case, &flags.config).map_err(told)?;
    let file = TaskFile::read_bytes("task.yaml", case.task.as_bytes()).map_err(told)?;
    let mut tasks = Vec::new();
    for task in file.tasks() {
        let task = task.resolve(&flags.overrides).map_err(told)?;
        // Nobody keeps secrets for a launch; both programs refuse it for them.
        if let Some(secret) = task.managed_secrets.first() {
            return Err(format!("no value for the secret {}", secret.name));
        }
        let mut json = with_secrets(&task);
        json["kubernetes"] = configuration::for_task(&config, &task);
        if !flags.config.is_empty() {
            json["config"] = Json::Null;
        }
        tasks.push(form::task(json));
    }
    Ok(json!({ "tasks": tasks, "group": form::group(group(file.kind())) }))
}

/// A task as JSON, with the values that JSON for people leaves out.
fn with_secrets(task: &ResolvedTask) -> Json {
    let mut json = task.to_json();
    json["secrets"] = task.secrets.reveal().collect();
    if let Some(Workdir::Folder(path)) = &task.workdir {
        json["workdir"] = json!(path);
    }
    json
}

fn group(kind: &FileKind) -> Json {
    match kind {
        FileKind::Single => Json::Null,
        FileKind::Pipeline { name: None } => json!({ "execution": "serial" }),
        FileKind::Pipeline { name } => json!({ "name": name, "execution": "serial" }),
        FileKind::JobGroup(group) => {
            let mut json = json!({
                "name": group.name,
                "execution": "parallel",
                "inter_connection": group.inter_connection,
            });
            if !group.primary_tasks.is_empty() {
                json["primary_tasks"] = json!(group.primary_tasks);
            }
            let delay = &group.termination_delay;
            if !delay.seconds.is_empty() {
                let mut seconds = json!(delay.seconds);
                seconds["default"] = json!(delay.default_seconds);
                json["termination_delay"] = seconds;
            } else if let Some(seconds) = delay.default_seconds {
                json["termination_delay"] = json!(seconds);
            }
            json
        }
    }
}
