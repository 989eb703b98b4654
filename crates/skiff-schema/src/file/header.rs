//! What stands before the tasks of a pipeline or a job group.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use crate::check::{Findings, check};
use crate::faults::{Fault, MAX_FAULTS};
use crate::grammar::{Field, Form, Notation, Problem, Record, ScalarKind};
use crate::path::Path;
use crate::view::View;
use crate::words;
use crate::yaml::{Node, Value};

/// What stands before the tasks of a job group.
#[derive(Clone, Debug, PartialEq)]
pub struct JobGroup {
    /// Its name.
    pub name: String,
    /// The tasks whose end ends the group; empty: all.
    pub primary_tasks: Vec<String>,
    /// How long the other tasks are left after the primary ones.
    pub termination_delay: TerminationDelay,
    /// Whether the tasks reach each other by name.
    pub inter_connection: bool,
}

/// Seconds that a task of a job group is left when the primary tasks have ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TerminationDelay {
    /// For tasks that are not named; None: none at all.
    pub default_seconds: Option<u64>,
    /// By the name of the task.
    pub seconds: IndexMap<String, u64>,
}

/// The document before the tasks of a pipeline.
pub static PIPELINE: Record = Record {
    name: "pipeline",
    fields: &[
        Field::new("name", Form::Text, "Its name")
            .example("name: train-and-evaluate")
            .required(),
        Field::new(
            "execution",
            Form::Word(&["serial", "parallel"]),
            "`serial`: the tasks run one after the other, each on nodes of its own; `parallel` makes a job group",
        )
        .default("serial")
        .example("execution: serial"),
    ],
};

/// The document before the tasks of a job group.
pub static JOB_GROUP: Record = Record {
    name: "job group",
    fields: &[
        Field::new("name", Form::Notation(&NAME), "Its name: letters, digits, `-` and `_`")
            .example("name: train-with-replay")
            .required(),
        Field::new(
            "execution",
            Form::Word(&["serial", "parallel"]),
            "`parallel`: the tasks run at the same time",
        )
        .example("execution: parallel")
        .required(),
        Field::new(
            "primary_tasks",
            Form::List(&Form::Text),
            "The tasks whose end ends the group",
        )
        .default("all of them")
        .example("primary_tasks: [trainer]"),
        Field::new(
            "termination_delay",
            Form::OneOf(&[
                Form::Notation(&DELAY),
                Form::Map {
                    keys: &TASK_NAME,
                    values: &Form::Notation(&DELAY),
                },
            ]),
            "How long the other tasks are left when the primary ones have ended; by the name of the task, and `default` for the rest",
        )
        .default("0s")
        .example("termination_delay: {default: 30s, replay-buffer: 1m}"),
        Field::new(
            "inter_connection",
            Form::Bool,
            "Whether the tasks run on one cluster and reach each other by name",
        )
        .default("true")
        .example("inter_connection: false"),
    ],
};

static NAME: Notation = Notation {
    what: "a name",
    kinds: &[ScalarKind::Text],
    pattern: "^[A-Za-z0-9_-]+$",
    check: check_name,
};

static TASK_NAME: Notation = Notation {
    what: "the name of a task",
    kinds: &[ScalarKind::Text],
    pattern: "",
    check: |_| Ok(()),
};

static DELAY: Notation = Notation {
    what: "a time",
    kinds: &[ScalarKind::Integer, ScalarKind::Text],
    pattern: "^[0-9]+[smhdwSMHDW]?$",
    check: |text| delay(text).map(drop),
};

/// Whether a job group, or a task of one, can have this name, which becomes part of host names.
pub(super) fn check_name(name: &str) -> Result<(), Problem> {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
    if !name.is_empty() && name.chars().all(is_plain) {
        return Ok(());
    }
    let message = format!("`{name}` is not a name within a job group");
    Err(Problem::new(message, "use letters, digits, `-` and `_`"))
}

/// Seconds of `30s`, `5m`, `1h` or `30`.
fn delay(text: &str) -> Result<u64, Problem> {
    let units = [
        ("s", 1),
        ("m", 60),
        ("h", 3600),
        ("d", 86_400),
        ("w", 604_800),
    ];
    let lower = text.to_ascii_lowercase();
    let with_unit = units
        .iter()
        .find_map(|(unit, seconds)| Some((lower.strip_suffix(unit)?, *seconds)));
    let (number, seconds) = with_unit.unwrap_or((lower.as_str(), 1));
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse::<u64>().ok().filter(|_| is_number);
    number
        .and_then(|number| number.checked_mul(seconds))
        .ok_or_else(|| {
            let message = format!("`{text}` is not a time");
            Problem::new(
                message,
                "write seconds, or a number and s, m, h, d or w: `30s`, `5m`",
            )
        })
}

/// Whether the first of several documents is no task.
pub(super) fn is_header(documents: &[Node]) -> bool {
    let [first, _, ..] = documents else {
        return false;
    };
    let keys = View::of(first).entries().iter();
    let mut keys = keys.map(|entry| &entry.key.value);
    let is = |key: &Value, name: &str| matches!(key, Value::String(text) if text == name);
    let has_execution = keys.clone().any(|key| is(key, "execution"));
    has_execution || (keys.len() > 0 && keys.all(|key| is(key, "name")))
}

/// Whether a header is that of a job group.
pub(super) fn is_parallel(header: &Node) -> bool {
    let execution = View::of(header).text("execution");
    execution.is_some_and(|execution| execution.eq_ignore_ascii_case("parallel"))
}

/// Reads the header of a pipeline: its name.
pub(super) fn read_pipeline(header: &Node, faults: &mut Vec<Fault>) -> Option<String> {
    check_header(&PIPELINE, header, faults);
    View::of(header).text("name").map(str::to_owned)
}

fn check_header(record: &'static Record, header: &Node, faults: &mut Vec<Fault>) {
    let mut findings = Findings::default();
    check(&Form::Record(record), header, &Path::TOP, &mut findings);
    faults.append(&mut findings.faults);
}

impl JobGroup {
    /// Reads the header of a job group whose tasks have these names.
    pub(super) fn read(header: &Node, tasks: &BTreeSet<&str>, faults: &mut Vec<Fault>) -> Self {
        check_header(&JOB_GROUP, header, faults);
        let fields = View::of(header);
        Self {
            name: fields.text("name").unwrap_or_default().to_owned(),
            primary_tasks: primary_tasks(fields, tasks, faults),
            termination_delay: TerminationDelay::read(fields, tasks, faults),
            inter_connection: fields.boolean("inter_connection").unwrap_or(true),
        }
    }
}

fn primary_tasks(fields: View<'_>, tasks: &BTreeSet<&str>, faults: &mut Vec<Fault>) -> Vec<String> {
    let Some(Value::Sequence(items)) = fields.get("primary_tasks").map(|node| &node.value) else {
        return Vec::new();
    };
    let mut primary = Vec::new();
    for item in items {
        if let Value::String(name) = &item.value {
            check_known("primary_tasks", name, item, tasks, faults);
            primary.push(name.clone());
        }
    }
    primary
}

impl TerminationDelay {
    fn read(fields: View<'_>, tasks: &BTreeSet<&str>, faults: &mut Vec<Fault>) -> Self {
        let Some(node) = fields.get("termination_delay") else {
            return Self::default();
        };
        if !matches!(node.value, Value::Mapping(_)) {
            return Self {
                default_seconds: delay(&node.value.to_python_string()).ok(),
                seconds: IndexMap::new(),
            };
        }
        let mut read = Self::default();
        for entry in View::of(node).entries() {
            let name = entry.key.value.to_python_string();
            let seconds = delay(&entry.value.value.to_python_string()).ok();
            if name == "default" {
                read.default_seconds = seconds;
                continue;
            }
            check_known("termination_delay", &name, &entry.key, tasks, faults);
            read.seconds.extend(seconds.map(|seconds| (name, seconds)));
        }
        read
    }
}

/// Finds names of tasks that the group does not have.
fn check_known(
    field: &str,
    name: &str,
    place: &Node,
    tasks: &BTreeSet<&str>,
    faults: &mut Vec<Fault>,
) {
    if tasks.contains(name) {
        return;
    }
    let fault = Fault::new(format!("`{field}`: the group has no task `{name}`")).at(place.span, "");
    // Looking for the word that was meant is worth it only where it may be told.
    let is_told = faults.len() < MAX_FAULTS;
    let like = is_told.then(|| words::similar(name, tasks.iter().copied()));
    let help = match like.flatten() {
        Some(like) => format!("did you mean `{like}`?"),
        None => "write the `name` of one of its tasks".to_owned(),
    };
    faults.push(fault.help(help));
}
