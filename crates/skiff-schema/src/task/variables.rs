//! The variables of a task, open and secret: what the file says, and what the command line gives.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;

use crate::faults::Fault;
use crate::path::Path;
use crate::resolved::ManagedSecret;
use crate::source::Span;
use crate::substitute::Substitute;
use crate::task::names;
use crate::view::View;
use crate::yaml::{Node, Value};
use crate::{Secrets, TaskOverrides};

/// The variables of a log-in to a registry: user, password, server. All three together, all open or all secret.
pub const DOCKER_LOGIN: [&str; 3] = [
    "SKYPILOT_DOCKER_USERNAME",
    "SKYPILOT_DOCKER_PASSWORD",
    "SKYPILOT_DOCKER_SERVER",
];
/// Whose a secret may be, before its name.
const SCOPES: [&str; 3] = ["personal", "workspace", "global"];

/// The variables of a task.
#[derive(Default)]
pub(super) struct Variables {
    pub(super) envs: IndexMap<String, String>,
    pub(super) secrets: IndexMap<String, String>,
    pub(super) managed: Vec<ManagedSecret>,
    /// Those that have no value, and where they stand.
    missing: Vec<(String, Span)>,
    /// All names, with a value or without one.
    declared: HashSet<String>,
}

impl Variables {
    /// The variables of a task, with flags on top.
    pub(super) fn of(
        task: View<'_>,
        flags: Option<&TaskOverrides>,
        faults: &mut Vec<Fault>,
    ) -> Self {
        let mut variables = Self::read(task, faults);
        if let Some(flags) = flags {
            variables.apply(flags, faults);
            variables.check(task, faults);
        }
        variables
    }

    /// Reads the variables among the fields of a task, without flags.
    pub(super) fn read(task: View<'_>, faults: &mut Vec<Fault>) -> Self {
        let mut variables = Self::default();
        for entry in task.view("envs").entries() {
            let name = entry.key.value.to_python_string();
            variables.declared.insert(name.clone());
            if entry.value.value == Value::Null {
                variables.missing.push((name, entry.key.span));
            } else {
                let value = entry.value.value.to_python_string();
                variables.envs.insert(name, value);
            }
        }
        match task.get("secrets") {
            Some(node) if matches!(node.value, Value::Mapping(_)) => {
                variables.read_secrets(View::of(node), faults);
            }
            Some(node) => variables.read_references(node),
            None => {}
        }
        if let Some(node) = task.get("managed_secrets") {
            variables.read_managed(node, faults);
        }
        let secrets = variables.secrets.keys();
        let managed = variables.managed.iter().map(|managed| &managed.name);
        variables.declared.extend(secrets.chain(managed).cloned());
        variables
    }

    fn read_secrets(&mut self, secrets: View<'_>, faults: &mut Vec<Fault>) {
        for entry in secrets.entries() {
            let name = entry.key.value.to_python_string();
            let has_value = entry.value.value != Value::Null;
            if name.starts_with("secrets:") && has_value {
                let message = format!("`secrets.{name}` refers to a secret and has a value too");
                let help = "remove `secrets:` from the name, or the value";
                faults.push(Fault::new(message).at(entry.key.span, "").help(help));
            } else if has_value {
                let value = entry.value.value.to_python_string();
                self.secrets.insert(name, value);
            } else {
                self.managed.push(ManagedSecret::parse(&name, None));
            }
        }
    }

    fn read_references(&mut self, list: &Node) {
        for item in items(list) {
            if let Value::String(name) = &item.value {
                self.managed.push(ManagedSecret::parse(name, None));
            }
        }
    }

    fn read_managed(&mut self, list: &Node, faults: &mut Vec<Fault>) {
        for (index, item) in items(list).iter().enumerate() {
            if let Value::String(name) = &item.value {
                self.managed.push(ManagedSecret::parse(name, None));
                continue;
            }
            let entries = View::of(item).entries();
            if entries.len() > 1 {
                let path = Path::TOP;
                let path = path.key("managed_secrets");
                let path = path.item(index);
                let fault = Fault::new(format!("`{path}` names several secrets"));
                faults.push(fault.at(item.span, "").help("write an item for each"));
            }
            for entry in entries {
                let name = entry.key.value.to_python_string();
                let mount_path = View::of(&entry.value).text("mount_path");
                self.managed.push(ManagedSecret::parse(&name, mount_path));
            }
        }
    }

    /// Puts the values of flags on top.
    fn apply(&mut self, flags: &TaskOverrides, faults: &mut Vec<Fault>) {
        for (name, value) in &flags.envs {
            match names::variable(name) {
                Ok(()) => {
                    self.missing.retain(|(missing, _)| missing != name);
                    self.declared.insert(name.clone());
                    self.envs.insert(name.clone(), value.clone());
                }
                Err(problem) => faults.push(problem.of("--env")),
            }
        }
        for (name, value) in &flags.secrets {
            match names::secret(name) {
                Ok(()) => {
                    self.managed.retain(|managed| managed.name != *name);
                    self.declared.insert(name.clone());
                    self.secrets.insert(name.clone(), value.clone());
                }
                Err(problem) => faults.push(problem.of("--secret")),
            }
        }
    }

    /// Finds what is wrong with variables to which no flag is added any more.
    fn check(&self, task: View<'_>, faults: &mut Vec<Fault>) {
        for (name, span) in &self.missing {
            let help =
                format!("give it with `--env {name}=<value>`; an empty one is `{name}: \"\"`");
            let fault = Fault::new(format!("the variable `{name}` has no value"));
            faults.push(fault.at(*span, "declared here").help(help));
        }
        self.check_docker_login(task, faults);
    }

    fn check_docker_login(&self, task: View<'_>, faults: &mut Vec<Fault>) {
        let missing_of = |values: &IndexMap<String, String>| -> Vec<&str> {
            let is_missing = |name: &&str| !values.contains_key(*name);
            DOCKER_LOGIN.into_iter().filter(is_missing).collect()
        };
        let is_partial = |missing: &Vec<&str>| (1..DOCKER_LOGIN.len()).contains(&missing.len());
        let fields = [("envs", &self.envs), ("secrets", &self.secrets)];
        let found = fields.map(|(field, values)| (field, missing_of(values)));
        let has_any = |missing: &Vec<&str>| missing.len() < DOCKER_LOGIN.len();
        let is_split = found.iter().all(|(_, missing)| has_any(missing));
        let help = "write all three of SKYPILOT_DOCKER_USERNAME, SKYPILOT_DOCKER_PASSWORD and SKYPILOT_DOCKER_SERVER in `secrets`";
        let place = |fault: Fault, field: &str| match task.key_span(field) {
            Some(span) => fault.at(span, ""),
            None => fault,
        };
        if is_split {
            let message = "the log-in of the registry is split: part of it is in `envs`, part of it in `secrets`";
            faults.push(place(Fault::new(message).help(help), "secrets"));
            return;
        }
        for (field, missing) in found.iter().filter(|(_, missing)| is_partial(missing)) {
            let missing = crate::words::all_of(missing);
            let message = format!(
                "the log-in of the registry in `{field}` is incomplete: {missing} is missing"
            );
            faults.push(place(Fault::new(message).help(help), field));
        }
    }

    /// Whether a name stands for something, now or once flags are applied.
    pub(super) fn is_declared(&self, name: &str) -> bool {
        self.declared.contains(name)
    }

    /// What each name stands for; a secret wins over a variable.
    pub(super) fn substitutes(&self) -> HashMap<&str, Substitute<'_>> {
        let open = self.envs.iter().map(|(name, value)| (name, value, false));
        let secret = self.secrets.iter().map(|(name, value)| (name, value, true));
        let all = open.chain(secret);
        all.map(|(name, value, is_secret)| (name.as_str(), Substitute { value, is_secret }))
            .collect()
    }

    /// Open variables, secret ones, and secrets that are kept elsewhere.
    pub(super) fn into_parts(self) -> (IndexMap<String, String>, Secrets, Vec<ManagedSecret>) {
        (self.envs, Secrets::new(self.secrets), self.managed)
    }
}

impl ManagedSecret {
    /// `[secrets:][scope.]NAME`.
    fn parse(text: &str, mount_path: Option<&str>) -> Self {
        let name = text.strip_prefix("secrets:").unwrap_or(text);
        let scoped = SCOPES.iter().find_map(|scope| {
            let rest = name.strip_prefix(scope)?.strip_prefix('.')?;
            Some((scope, rest))
        });
        Self {
            name: scoped.map_or(name, |(_, name)| name).to_owned(),
            scope: scoped.map(|(scope, _)| (*scope).to_owned()),
            mount_path: mount_path.map(str::to_owned),
        }
    }
}

fn items(list: &Node) -> &[Node] {
    match &list.value {
        Value::Sequence(items) => items,
        _ => &[],
    }
}
