//! One task: what the file says of it, and what becomes of that with flags on top.

mod grammar;
mod names;
mod variables;
mod workdir;

use std::borrow::Cow;
use std::fmt;

use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::check::{self, Findings, Remark};
use crate::config::TaskConfig;
use crate::faults::{Fault, Faults};
use crate::path::Path;
use crate::resources::Resources;
use crate::source::{Source, Span};
use crate::substitute::{self, Substitution};
use crate::view::View;
use crate::volumes::Surroundings;
use crate::yaml::{Entry, Node, Value};
use crate::{
    ResolvedResources, ResolvedTask, ResourceOverrides, TaskOverrides, json, mounts, service,
    volumes,
};

pub use grammar::TASK;
pub use variables::DOCKER_LOGIN;

use variables::Variables;

/// The fields in which variables stand for their values.
const SUBSTITUTED: [&str; 4] = ["workdir", "file_mounts", "volumes", "service"];
/// Of these, the ones whose keys are the user's: each entry can be looked at alone.
const BY_PATH: [&str; 2] = ["file_mounts", "volumes"];
/// Fields that are only kept, as they are written.
const KEPT: [&str; 4] = ["event_callback", "api_server_access", "inputs", "outputs"];

/// One task as the file says it, checked, flags not yet applied.
#[derive(Clone)]
pub struct Task {
    /// A mapping.
    document: Node,
    /// The text that it stands in; None for a command.
    source: Option<Source>,
    /// What is written in it and changes nothing, as far as no flag decides it.
    remarks: Vec<Remark>,
}

/// The name alone: there are secrets in a task.
impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

impl Task {
    /// A task that a document holds, with everything that is wrong with it.
    pub(crate) fn read(document: Node, source: Source, faults: &mut Vec<Fault>) -> Self {
        let mut findings = Findings::default();
        for entry in View::of(&document).entries() {
            if !SUBSTITUTED.contains(&entry.key.value.to_python_string().as_str()) {
                let entry = std::slice::from_ref(entry);
                check::check_record(&TASK, entry, &Path::TOP, &mut findings);
            }
        }
        let task = Self {
            document,
            source: Some(source),
            remarks: std::mem::take(&mut findings.remarks),
        };
        task.fill_in(None, &mut findings);
        faults.append(&mut findings.faults);
        task
    }

    /// A task that runs a command, named as `SkyPilot` names it.
    pub(crate) fn from_command(command: &str) -> Self {
        let entries = [("name", "sky-cmd"), ("run", command)];
        let entries = entries.map(|(key, value)| Entry {
            key: text(key),
            value: text(value),
        });
        Self::of_entries(entries.into())
    }

    /// A task of which nothing is written.
    pub(crate) fn empty() -> Self {
        Self::of_entries(Vec::new())
    }

    fn of_entries(entries: Vec<Entry>) -> Self {
        Self {
            document: Node {
                value: Value::Mapping(entries),
                span: Span::default(),
            },
            source: None,
            remarks: Vec::new(),
        }
    }

    /// Its display name, as the file says it.
    pub fn name(&self) -> Option<&str> {
        View::of(&self.document).text("name")
    }

    /// The variables that have no value until a flag gives them one.
    pub fn open_variables(&self) -> impl Iterator<Item = String> {
        let envs = View::of(&self.document).view("envs").entries().iter();
        let open = envs.filter(|entry| entry.value.value == Value::Null);
        open.map(|entry| entry.key.value.to_python_string())
    }

    /// Whether it declares a secret of this name, with a value or without one.
    pub fn declares_secret(&self, name: &str) -> bool {
        let variables = Variables::read(View::of(&self.document), &mut Vec::new());
        let mut managed = variables.managed.iter();
        variables.secrets.contains_key(name) || managed.any(|secret| secret.name == name)
    }

    /// The place of its name; of the task, where it has none.
    pub(crate) fn name_span(&self) -> Span {
        let name = View::of(&self.document).get("name");
        name.unwrap_or(&self.document).span
    }

    /// Gives it the name that stands before it, if it has none of its own.
    pub(crate) fn name_after(&mut self, header: &Node) {
        let name = View::of(header).get("name");
        let has_name = View::of(&self.document).get("name").is_some();
        if let (Some(name), false, Value::Mapping(entries)) =
            (name, has_name, &mut self.document.value)
        {
            entries.retain(|entry| entry.key.value.to_python_string() != "name");
            entries.push(Entry {
                key: text("name"),
                value: name.clone(),
            });
        }
    }

    /// Applies command-line flags, fills in defaults and checks what only then can be checked.
    pub fn resolve(&self, overrides: &TaskOverrides) -> Result<ResolvedTask, Faults> {
        let mut findings = Findings {
            remarks: self.remarks.clone(),
            ..Findings::default()
        };
        let task = self.fill_in(Some(overrides), &mut findings);
        if findings.faults.is_empty() {
            let mut remarks = findings.remarks;
            remarks.sort_by_key(|remark| remark.span);
            return Ok(ResolvedTask { remarks, ..task });
        }
        Err(match &self.source {
            Some(source) => Faults::of(source, findings.faults),
            None => Faults::of_flags(findings.faults),
        })
    }

    /// The task with flags; without them, as far as no flag can change it.
    fn fill_in(&self, flags: Option<&TaskOverrides>, findings: &mut Findings) -> ResolvedTask {
        let fields = View::of(&self.document);
        let variables = Variables::of(fields, flags, &mut findings.faults);
        let mut parts = Parts::new(fields, &variables, flags.is_some(), findings);
        let workdir = parts.read("workdir", |node, _| workdir::of_node(node));
        let workdir = workdir::with_flags(workdir.flatten(), flags, &mut parts.findings.faults);
        let has_workdir = workdir.is_some();
        let file_mounts = parts.read("file_mounts", |node, faults| {
            mounts::read(node, has_workdir, faults)
        });
        let file_mounts = file_mounts.unwrap_or_default();
        let num_nodes = num_nodes(fields, flags, &mut parts.findings.faults);
        let around = Surroundings {
            num_nodes,
            has_workdir,
            file_mounts: &file_mounts,
        };
        let volumes = parts.read("volumes", |node, faults| {
            volumes::read(node, &around, faults)
        });
        let volumes = volumes.unwrap_or_default();
        let service = parts.read("service", service::read_service);
        let shown = parts.shown;
        let faults = &mut findings.faults;
        let pool = fields.get("pool");
        let pool = pool.map(|node| service::read_pool(node, faults));
        check_conflicts(fields, faults);
        let config = TaskConfig::read(fields, faults);
        let name = name(fields, flags, faults);
        let resources = resources(fields, flags, findings);
        let (envs, secrets, managed_secrets) = variables.into_parts();
        ResolvedTask {
            name,
            num_nodes,
            resources,
            envs,
            secrets: secrets.hidden_in(shown),
            workdir,
            setup: script(fields, "setup"),
            run: script(fields, "run"),
            file_mounts,
            volumes,
            service,
            pool,
            config,
            managed_secrets,
            others: kept(fields),
            remarks: Vec::new(),
        }
    }
}

/// A string that stands in no text.
fn text(text: &str) -> Node {
    Node {
        value: Value::String(text.to_owned()),
        span: Span::default(),
    }
}

/// The fields in which variables stand for their values, while they are read.
struct Parts<'a> {
    fields: View<'a>,
    variables: &'a Variables,
    /// Whether the variables have the values that they will have.
    is_final: bool,
    findings: &'a mut Findings,
    /// Fields that hold the value of a secret, as the file writes them.
    shown: IndexMap<String, Json>,
}

impl<'a> Parts<'a> {
    fn new(
        fields: View<'a>,
        variables: &'a Variables,
        is_final: bool,
        findings: &'a mut Findings,
    ) -> Self {
        Self {
            fields,
            variables,
            is_final,
            findings,
            shown: IndexMap::new(),
        }
    }

    /// Checks a field and reads it, with values in the place of variables.
    fn read<T>(&mut self, name: &str, read: impl FnOnce(&Node, &mut Vec<Fault>) -> T) -> Option<T> {
        let written = self.fields.get(name)?;
        let variables = self.variables;
        let is_declared = |name: &str| variables.is_declared(name);
        let mut found = Findings::default();
        let mut has_secret = false;
        let node = if !substitute::names_any(written, &is_declared) {
            Cow::Borrowed(written)
        } else if self.is_final {
            let mut substitution = Substitution::new(variables.substitutes());
            let node = substitution.apply(written);
            has_secret = substitution.has_secret;
            found.faults.append(&mut substitution.faults);
            Cow::Owned(node)
        } else {
            Cow::Owned(without(written, name, &is_declared)?)
        };
        let field = TASK.field(name).expect("the language has these fields");
        check::check(&field.form, &node, &Path::TOP.key(name), &mut found);
        let value = read(&node, &mut found.faults);
        if has_secret {
            self.shown.insert(name.to_owned(), json::of_node(written));
            let faults = found.faults.into_iter();
            let concealed = faults.map(|fault| fault.concealed(name, written.span));
            self.findings.faults.extend(concealed);
        } else {
            self.findings.faults.append(&mut found.faults);
            self.findings.remarks.append(&mut found.remarks);
        }
        Some(value)
    }
}

/// A field without what may still change: the entries that name a variable, or all of it.
fn without(written: &Node, name: &str, is_declared: &dyn Fn(&str) -> bool) -> Option<Node> {
    if !BY_PATH.contains(&name) {
        return None;
    }
    let names_one = |entry: &&Entry| {
        substitute::names_any(&entry.key, is_declared)
            || substitute::names_any(&entry.value, is_declared)
    };
    let entries = View::of(written).entries().iter();
    Some(Node {
        value: Value::Mapping(entries.filter(|entry| !names_one(entry)).cloned().collect()),
        span: written.span,
    })
}

/// Finds fields that do not go together.
fn check_conflicts(fields: View<'_>, faults: &mut Vec<Fault>) {
    if fields.get("service").is_some() && fields.get("pool").is_some() {
        let fault = Fault::new("`service` and `pool` exclude each other");
        let spans = [fields.key_span("pool"), fields.key_span("service")];
        let fault = spans
            .into_iter()
            .flatten()
            .fold(fault, |fault, span| fault.at(span, ""));
        faults.push(fault.help("a task is one or the other"));
    }
    for name in ["inputs", "outputs"] {
        if let [_, second, ..] = fields.view(name).entries() {
            let fault = Fault::new(format!("`{name}` names several places"));
            faults.push(fault.at(second.key.span, "").help("keep one of them"));
        }
    }
}

fn name(
    fields: View<'_>,
    flags: Option<&TaskOverrides>,
    faults: &mut Vec<Fault>,
) -> Option<String> {
    let flags = flags?;
    if let Some(name) = &flags.name {
        if let Err(problem) = names::task(name) {
            faults.push(problem.of("--name"));
        }
        return Some(name.clone());
    }
    let name = fields.text("name")?;
    if let Err(problem) = names::task(name) {
        let fault = problem.of("name");
        let node = fields.get("name");
        faults.push(node.map_or(fault.clone(), |node| fault.at(node.span, "")));
    }
    Some(name.to_owned())
}

fn num_nodes(fields: View<'_>, flags: Option<&TaskOverrides>, faults: &mut Vec<Fault>) -> u32 {
    let written = fields.integer("num_nodes");
    let Some(text) = flags.and_then(|flags| flags.num_nodes.as_ref()) else {
        return written
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or(1);
    };
    match text.trim().parse() {
        Ok(number) if (1..=grammar::MAX_NODES).contains(&i64::from(number)) => number,
        _ => {
            let fault = Fault::new(format!("`--num-nodes`: `{text}` is not a number of nodes"));
            let help = format!("write a whole number from 1 to {}", grammar::MAX_NODES);
            faults.push(fault.help(help));
            1
        }
    }
}

fn resources(
    fields: View<'_>,
    flags: Option<&TaskOverrides>,
    findings: &mut Findings,
) -> Vec<ResolvedResources> {
    let path = Path::TOP.key("resources");
    let resources = fields.get("resources");
    let resources = resources.map_or_else(Resources::default, |node| {
        Resources::read(node, &path, findings)
    });
    match flags {
        Some(flags) => resources.resolve(&flags.resources, findings),
        None if findings.faults.is_empty() => Vec::new(),
        // A flag could mend what is found now; beside other faults, the file is changed anyhow.
        None => resources.resolve(&ResourceOverrides::default(), findings),
    }
}

/// Shell text that does something.
fn script(fields: View<'_>, name: &str) -> Option<String> {
    let text = fields.text(name).filter(|text| !text.trim().is_empty());
    text.map(str::to_owned)
}

fn kept(fields: View<'_>) -> IndexMap<String, Json> {
    let written = KEPT.into_iter().filter_map(|name| {
        let node = fields.get(name)?;
        Some((name.to_owned(), json::of_node(node)))
    });
    written.collect()
}
