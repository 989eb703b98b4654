//! Volumes of a task: those that exist, and those that live as long as the cluster.

pub(crate) mod file;
pub(crate) mod grammar;

use indexmap::IndexMap;

use crate::faults::Fault;
use crate::grammar::{Field, Form, Notation, Problem, Record, ScalarKind};
use crate::json;
use crate::path::Path;
use crate::quantity::{GIGABYTE, Memory};
use crate::resolved::{FileMount, VolumeMount};
use crate::view::View;
use crate::yaml::{Node, Value};
use crate::{mounts, words};

pub(crate) const ACCESS_MODES: &[&str] = &[
    "ReadWriteOnce",
    "ReadWriteOncePod",
    "ReadWriteMany",
    "ReadOnlyMany",
];
/// Access modes of volumes that one node has for itself.
const SINGLE_NODE_MODES: [&str; 2] = ["ReadWriteOnce", "ReadWriteOncePod"];
/// The fields that say what kind of volume it is.
const KINDS: [&str; 3] = ["name", "size", "host_path"];

/// Where a volume appears.
pub(crate) static VOLUME_PATH: Notation = Notation {
    what: "a path",
    kinds: &[ScalarKind::Text],
    pattern: "^[/~]",
    check: |text| {
        let help = "write a path that begins with `/` or `~/`, such as `/mnt/data`";
        if !text.starts_with(['/', '~']) {
            return Err(Problem::new(format!("`{text}` is no absolute path"), help));
        }
        if text.ends_with('/') {
            let message = format!("`{text}` must not end with `/`");
            return Err(Problem::new(message, "remove the slash"));
        }
        Ok(())
    },
};

/// What appears there.
pub(crate) static VOLUME: Form =
    Form::OneOf(&[Form::Notation(&VOLUME_NAME), Form::Record(&VOLUME_RECORD)]);

static VOLUME_NAME: Notation = Notation {
    what: "the name of a volume",
    kinds: &[ScalarKind::Text],
    pattern: "^\\S+$",
    check: |text| {
        if !text.is_empty() && !text.contains(char::is_whitespace) {
            return Ok(());
        }
        let message = format!("`{text}` is not the name of a volume");
        Err(Problem::new(
            message,
            "write the name of a volume that exists",
        ))
    },
};

static VOLUME_RECORD: Record = Record {
    name: "volume",
    fields: &[
        Field::new("name", Form::Notation(&VOLUME_NAME), "A volume that exists")
            .example("name: my-data"),
        Field::new(
            "sub_path",
            Form::Notation(&SUB_PATH),
            "The folder of it that appears; beside `name`",
        )
        .default("all of it")
        .example("sub_path: models/llama"),
        Field::new(
            "size",
            Form::Notation(&VOLUME_SIZE),
            "Makes a new volume of this size, which is deleted with the cluster",
        )
        .example("size: 100Gi"),
        Field::new(
            "type",
            Form::Word(&["k8s-pvc"]),
            "The kind of the new volume: a claim for a persistent volume",
        )
        .default("k8s-pvc")
        .example("type: k8s-pvc"),
        Field::new(
            "labels",
            Form::Map {
                keys: &LABEL,
                values: &Form::Text,
            },
            "Labels of the new volume",
        )
        .example("labels: {team: vision}"),
        Field::new(
            "config",
            Form::Record(&VOLUME_CONFIG),
            "Settings of the new volume",
        ),
        Field::new(
            "host_path",
            Form::Text,
            "A folder of the machine, on Slurm alone: a task that has it is refused",
        )
        .example("host_path: /scratch"),
        Field::new(
            "mode",
            Form::Word(&["ro", "rw"]),
            "Whether `host_path` may be written",
        )
        .default("ro")
        .example("mode: rw"),
    ],
};

static VOLUME_CONFIG: Record = Record {
    name: "volume config",
    fields: &[
        Field::new(
            "storage_class_name",
            Form::Text,
            "The storage class that makes it",
        )
        .default("the cluster's default")
        .example("storage_class_name: fast"),
        Field::new(
            "access_mode",
            Form::Word(ACCESS_MODES),
            "How many nodes may use it at once; a task of several nodes needs `ReadWriteMany` or `ReadOnlyMany`",
        )
        .default("ReadWriteOnce")
        .example("access_mode: ReadWriteMany"),
        Field::new("namespace", Form::Text, "The namespace in which it is made")
            .default("the cluster's")
            .example("namespace: ml"),
    ],
};

static SUB_PATH: Notation = Notation {
    what: "a folder of the volume",
    kinds: &[ScalarKind::Text],
    pattern: "^[a-zA-Z0-9._-][a-zA-Z0-9./_-]*$",
    check: |text| {
        let is_plain =
            |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-' | '/');
        let help = "write a path within the volume, of letters, digits, `.`, `_`, `-` and `/`";
        if text.is_empty() || text.starts_with('/') || !text.chars().all(is_plain) {
            let message = format!("`{text}` is not a folder of a volume");
            return Err(Problem::new(message, help));
        }
        if text.split('/').any(|part| part == "..") {
            return Err(Problem::new(
                format!("`{text}` leads out of the volume"),
                help,
            ));
        }
        Ok(())
    },
};

pub(crate) static VOLUME_SIZE: Notation = Notation {
    what: "a size",
    kinds: &[ScalarKind::Integer, ScalarKind::Text],
    pattern: "^[0-9]+([kKmMgGtTpP][bBiI])?$",
    check: |text| {
        let help = "write gigabytes such as 100, or with a unit: 100Gi, 2Ti";
        match Memory::parse(text) {
            Ok(Memory::Bytes {
                bytes,
                at_least: false,
            }) if bytes >= GIGABYTE => Ok(()),
            Ok(Memory::Bytes {
                at_least: false, ..
            }) => Err(Problem::new(format!("`{text}` is less than 1 GB"), help)),
            _ => Err(Problem::new(
                format!("`{text}` is not the size of a volume"),
                help,
            )),
        }
    },
};

static LABEL: Notation = Notation {
    what: "a label",
    kinds: &[ScalarKind::Text],
    pattern: "",
    check: |_| Ok(()),
};

/// What volumes have to go together with.
pub(crate) struct Surroundings<'a> {
    pub(crate) num_nodes: u32,
    pub(crate) has_workdir: bool,
    pub(crate) file_mounts: &'a IndexMap<String, FileMount>,
}

/// Reads `volumes` that have the right form.
pub(crate) fn read(
    volumes: &Node,
    around: &Surroundings<'_>,
    faults: &mut Vec<Fault>,
) -> IndexMap<String, VolumeMount> {
    let mut read = IndexMap::new();
    let path = Path::TOP;
    let path = path.key("volumes");
    for entry in View::of(volumes).entries() {
        let target = entry.key.value.to_python_string();
        if let Some(fault) = mounts::over_workdir(&target, around.has_workdir) {
            faults.push(fault.at(entry.key.span, ""));
        }
        if around.file_mounts.contains_key(&target) {
            let message = format!("`{target}` is in `file_mounts` and in `volumes`");
            let fault = Fault::new(message).at(entry.key.span, "");
            faults.push(fault.help("choose another path for one of them"));
        }
        let path = path.key(&target);
        let volume = match &entry.value.value {
            Value::String(name) => Some(VolumeMount::Named {
                name: name.clone(),
                sub_path: None,
            }),
            Value::Mapping(_) => read_one(&entry.value, &path, around.num_nodes, faults),
            Value::Null => {
                let fault = Fault::new(format!("`{path}` names no volume"));
                let help = "write the name of a volume, or `{size: 100Gi}` for a new one";
                faults.push(fault.at(entry.key.span, "").help(help));
                None
            }
            _ => None,
        };
        read.extend(volume.map(|volume| (target.clone(), volume)));
    }
    read
}

fn read_one(
    node: &Node,
    path: &Path<'_>,
    num_nodes: u32,
    faults: &mut Vec<Fault>,
) -> Option<VolumeMount> {
    let fields = View::of(node);
    let at = |field: &str, fault: Fault| match fields.key_span(field) {
        Some(span) => fault.at(span, ""),
        None => fault,
    };
    if fields.get("host_path").is_some() {
        let message = format!("`{path}.host_path`: folders of the machine are for Slurm");
        let help = "on Kubernetes use a volume, or `kubernetes.pod_config` with a hostPath";
        faults.push(at("host_path", Fault::new(message).help(help)));
        return None;
    }
    match (fields.get("name"), fields.get("size")) {
        (Some(_), None) => named(fields, path, faults, at),
        (None, Some(_)) => {
            check_new(fields, path, num_nodes, faults, at);
            Some(VolumeMount::Ephemeral(json::of_node(node)))
        }
        (Some(_), Some(_)) => {
            let message = format!("`{path}` has both `name` and `size`");
            let help = "keep `name` for a volume that exists, or `size` for a new one";
            faults.push(at("size", Fault::new(message).help(help)));
            None
        }
        (None, None) => {
            let known = words::one_of(&KINDS[..2]);
            let fault = Fault::new(format!("`{path}` has neither `name` nor `size`"));
            let help = format!("write {known}: a volume that exists, or a new one");
            faults.push(fault.at(node.span, "").help(help));
            None
        }
    }
}

fn named(
    fields: View<'_>,
    path: &Path<'_>,
    faults: &mut Vec<Fault>,
    at: impl Fn(&str, Fault) -> Fault,
) -> Option<VolumeMount> {
    for field in ["type", "labels", "config", "mode"] {
        if fields.get(field).is_some() {
            let fault = Fault::new(format!(
                "`{path}.{field}` is for new volumes, and this one exists"
            ));
            faults.push(at(
                field,
                fault.help("remove it, or write `size` in place of `name`"),
            ));
        }
    }
    Some(VolumeMount::Named {
        name: fields.text("name")?.to_owned(),
        sub_path: fields.text("sub_path").map(str::to_owned),
    })
}

/// Finds what does not go together in a volume that lives as long as the cluster.
fn check_new(
    fields: View<'_>,
    path: &Path<'_>,
    num_nodes: u32,
    faults: &mut Vec<Fault>,
    at: impl Fn(&str, Fault) -> Fault,
) {
    for field in ["sub_path", "mode"] {
        if fields.get(field).is_some() {
            let fault = Fault::new(format!(
                "`{path}.{field}` is for volumes that exist, and this is a new one"
            ));
            faults.push(at(field, fault.help("remove it")));
        }
    }
    let config = fields.view("config");
    if let Some(mode) = config.text("access_mode")
        && SINGLE_NODE_MODES
            .iter()
            .any(|single| single.eq_ignore_ascii_case(mode))
        && num_nodes > 1
    {
        let message = format!(
            "`{path}.config.access_mode`: {mode} is for one node, and the task has {num_nodes}"
        );
        let fault = Fault::new(message).help("write `ReadWriteMany`");
        let span = config.key_span("access_mode");
        faults.push(span.map_or(fault.clone(), |span| fault.at(span, "")));
    }
}
