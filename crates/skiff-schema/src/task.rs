//! A task file as the user wrote it: parsed and checked, defaults not yet filled in.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::check::{Findings, check};
use crate::faults::Fault;
use crate::fields::{Field, Fields, Vocabulary};
use crate::grammar::Form;
use crate::kubernetes::{self, DockerMode, ProvisionTimeout};
use crate::path::Path;
use crate::resources::{RESOURCES, Resources};
use crate::source::{Source, Span};
use crate::yaml::{Entry, Value};

/// What the task's own `config:` changes of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskConfig {
    /// `kubernetes.enable_docker`.
    pub enable_docker: Option<DockerMode>,
    /// `kubernetes.provision_timeout`.
    pub provision_timeout: Option<ProvisionTimeout>,
}

/// One task.
#[derive(Clone, Debug)]
pub struct Task {
    /// Display name.
    pub name: Option<String>,
    /// What each node has.
    pub(crate) resources: Resources,
    /// Number of nodes.
    pub num_nodes: u32,
    /// Variables of `setup` and `run`; None must be given by `--env`.
    pub envs: IndexMap<String, Option<String>>,
    /// Local folder that is synced to `~/sky_workdir`.
    pub workdir: Option<String>,
    /// Shell text that runs once before `run`.
    pub setup: Option<String>,
    /// Shell text of the job.
    pub run: Option<String>,
    /// Changes to the configuration.
    pub config: TaskConfig,
    /// Where the values stand whose check has to wait until flags are applied.
    pub(crate) places: Places,
}

/// Places in the file that [`Task::resolve`] may have to point at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    pub(crate) source: Option<Source>,
    pub(crate) name: Option<Span>,
    pub(crate) memory: Option<Span>,
    pub(crate) envs: IndexMap<String, Span>,
}

const VOCABULARY: Vocabulary = Vocabulary {
    known: &[
        "name",
        "resources",
        "num_nodes",
        "envs",
        "workdir",
        "setup",
        "run",
        "config",
    ],
    unsupported: &[
        "api_server_access",
        "event_callback",
        "file_mounts",
        "inputs",
        "managed_secrets",
        "outputs",
        "pool",
        "secrets",
        "service",
        "volumes",
    ],
    ignored: &[
        "_metadata",
        "_user_specified_yaml",
        "file_mounts_mapping",
        "volume_mounts",
    ],
};

const CONFIG_VOCABULARY: Vocabulary = Vocabulary {
    known: &["kubernetes"],
    unsupported: &[
        "active_workspace",
        "azure",
        "docker",
        "gcp",
        "hooks",
        "nvidia_gpus",
        "slurm",
        "ssh",
        "vast",
    ],
    ignored: &[],
};

const KUBERNETES_VOCABULARY: Vocabulary = Vocabulary {
    known: &["enable_docker", "provision_timeout"],
    unsupported: &[
        "custom_metadata",
        "dws",
        "kueue",
        "pod_config",
        "quota",
        "remote_identity",
        "set_pod_resource_limits",
    ],
    ignored: &[],
};

impl Task {
    pub(crate) fn empty() -> Self {
        Self {
            name: None,
            resources: Resources::default(),
            num_nodes: 1,
            envs: IndexMap::new(),
            workdir: None,
            setup: None,
            run: None,
            config: TaskConfig::default(),
            places: Places::default(),
        }
    }

    pub(crate) fn of(entries: &[Entry], faults: &mut Vec<Fault>) -> Self {
        let mut fields = Fields::top(entries);
        let mut task = Self::empty();
        task.places.name = fields.peek("name").map(|field| field.span());
        task.name = fields.string("name", faults);
        if let Some(field) = fields.take("resources") {
            task.places.memory = Some(field.key_span());
            let mut findings = Findings::default();
            let path = Path::TOP.key("resources");
            check(
                &Form::Record(&RESOURCES),
                field.node,
                &path,
                &mut findings,
            );
            task.resources = Resources::read(field.node, &path, &mut findings);
            faults.append(&mut findings.faults);
        }
        if let Some(field) = fields.take("num_nodes") {
            check_one_node(field, faults);
        }
        if let Some(field) = fields.take("envs") {
            read_envs(field, &mut task, faults);
        }
        task.workdir = fields
            .take("workdir")
            .and_then(|field| workdir(field, faults));
        task.setup = fields.string("setup", faults);
        task.run = fields.string("run", faults);
        if let Some(field) = fields.take("config") {
            task.config = read_config(field, faults);
        }
        fields.finish(&VOCABULARY, faults);
        task
    }
}

fn check_one_node(field: Field<'_>, faults: &mut Vec<Fault>) {
    let Value::Int(number) = &field.node.value else {
        faults.push(field.must_be("num_nodes", "a whole number"));
        return;
    };
    match number.to_i64() {
        Some(1) => {}
        Some(2..) => {
            let fault = Fault::new(format!(
                "`num_nodes: {number}`: Skiff runs one node for now"
            ));
            faults.push(fault.at(field.span(), "must be 1"));
        }
        _ => {
            let fault = Fault::new(format!("`num_nodes: {number}` is not a number of nodes"));
            faults.push(fault.at(field.span(), "must be 1"));
        }
    }
}

fn read_envs(field: Field<'_>, task: &mut Task, faults: &mut Vec<Fault>) {
    let Some(fields) = Fields::open("envs", field, faults) else {
        return;
    };
    for (key, value) in fields.rest() {
        let name = key.value.to_python_string();
        if !is_variable_name(&name) {
            let fault = Fault::new(format!("`envs`: `{name}` is not the name of a variable"));
            let help = "use letters, digits and `_`, not a digit first";
            faults.push(fault.at(key.span, "").help(help));
            continue;
        }
        let text = Some(&value.node.value).filter(|value| **value != Value::Null);
        task.places.envs.insert(name.clone(), key.span);
        task.envs.insert(name, text.map(Value::to_python_string));
    }
}

/// Whether a shell can have a variable of this name.
pub(crate) fn is_variable_name(name: &str) -> bool {
    let is_letter = |char: char| char.is_ascii_alphabetic() || char == '_';
    name.starts_with(is_letter)
        && name
            .chars()
            .all(|char| is_letter(char) || char.is_ascii_digit())
}

fn workdir(field: Field<'_>, faults: &mut Vec<Fault>) -> Option<String> {
    match &field.node.value {
        Value::String(path) => Some(path.clone()),
        Value::Mapping(_) => {
            let message =
                "`workdir` from a git repository is not supported by this version of Skiff";
            let fault = Fault::new(message).at(field.key_span(), "");
            faults.push(fault.help("clone it and write the folder's path"));
            None
        }
        _ => {
            faults.push(field.must_be("workdir", "a string"));
            None
        }
    }
}

fn read_config(field: Field<'_>, faults: &mut Vec<Fault>) -> TaskConfig {
    let mut config = TaskConfig::default();
    let Some(mut fields) = Fields::open("config", field, faults) else {
        return config;
    };
    if let Some(field) = fields.take("kubernetes")
        && let Some(mut fields) = Fields::open("config.kubernetes", field, faults)
    {
        config.enable_docker = kubernetes::read_docker(&mut fields, faults);
        config.provision_timeout = kubernetes::read_provision_timeout(&mut fields, faults);
        fields.finish(&KUBERNETES_VOCABULARY, faults);
    }
    fields.finish(&CONFIG_VOCABULARY, faults);
    config
}
