//! How fragments of a pod are laid over each other, and over the pod itself.
//!
//! Kubernetes' own way for what `kubectl apply` merges by a key, and `SkyPilot`'s for the rest. Works
//! on trees, so that a fragment keeps the place of every value. Must not know a single pod.

use std::collections::HashMap;

use crate::yaml::{Entry, Node, Value};

/// The container of the task as `SkyPilot` calls it; one without a name means it too.
pub(crate) const RAY_NODE: &str = "ray-node";
/// The container of the task as Skiff calls it.
pub(crate) const TASK: &str = "task";

/// What a list does with another one that is laid over it.
#[derive(Clone, Copy)]
enum Strategy {
    /// Items that agree in this field are merged, others appended.
    By(&'static str),
    /// The upper list holds alone.
    Replace,
    /// The upper list is appended.
    Append,
}

impl Strategy {
    fn of(field: &str) -> Self {
        match field {
            "containers"
            | "initContainers"
            | "ephemeralContainers"
            | "volumes"
            | "env"
            | "resourceClaims"
            | "claims" => Self::By("name"),
            "volumeMounts" => Self::By("mountPath"),
            "ports" => Self::By("containerPort"),
            "hostAliases" => Self::By("ip"),
            "topologySpreadConstraints" => Self::By("topologyKey"),
            "volumeDevices" => Self::By("devicePath"),
            // Credentials that a task means to drop must not come back from a lower layer.
            "args" | "command" | "imagePullSecrets" => Self::Replace,
            _ => Self::Append,
        }
    }
}

/// The field without which an item of a list is nothing, because Kubernetes tells the items apart
/// by it; a container without a name is the task's.
pub(super) fn required_field(list: &str) -> Option<&'static str> {
    match Strategy::of(list) {
        Strategy::By(field) if list != "containers" => Some(field),
        _ => None,
    }
}

/// Lays one fragment over another. Mappings are merged field by field, lists by what they hold;
/// else the upper value holds, also one that is empty: it takes away what the lower one says.
pub(crate) fn merge(lower: Node, upper: Node) -> Node {
    let value = match (lower.value, upper.value) {
        (Value::Mapping(lower), Value::Mapping(upper)) => Value::Mapping(mappings(lower, upper)),
        (_, upper) => upper,
    };
    Node {
        value,
        span: upper.span,
    }
}

fn mappings(mut lower: Vec<Entry>, upper: Vec<Entry>) -> Vec<Entry> {
    let mut places: HashMap<String, usize> = lower
        .iter()
        .enumerate()
        .map(|(place, entry)| (name_of(&entry.key), place))
        .collect();
    for entry in upper {
        let name = name_of(&entry.key);
        let Some(place) = places.get(&name) else {
            places.insert(name, lower.len());
            lower.push(entry);
            continue;
        };
        let below = &mut lower[*place];
        below.value = fields(&name, take(&mut below.value), entry.value);
        below.key = entry.key;
    }
    lower
}

/// Merges what two fragments say of one field.
fn fields(field: &str, lower: Node, upper: Node) -> Node {
    match (lower.value, upper.value) {
        (Value::Sequence(below), Value::Sequence(above)) => Node {
            value: Value::Sequence(lists(field, below, above)),
            span: upper.span,
        },
        (below, above) => merge(
            Node {
                value: below,
                span: lower.span,
            },
            Node {
                value: above,
                span: upper.span,
            },
        ),
    }
}

fn lists(field: &str, mut lower: Vec<Node>, upper: Vec<Node>) -> Vec<Node> {
    let key = match Strategy::of(field) {
        Strategy::Replace => return upper,
        Strategy::Append => {
            lower.extend(upper);
            return lower;
        }
        Strategy::By(key) => key,
    };
    let mut places = HashMap::new();
    for (place, item) in lower.iter().enumerate() {
        if let Some(identity) = identity(field, key, item) {
            places.entry(identity).or_insert(place);
        }
    }
    for item in upper {
        let Some(identity) = identity(field, key, &item) else {
            lower.push(item);
            continue;
        };
        if let Some(place) = places.get(&identity) {
            let below = &mut lower[*place];
            *below = merge(take(below), item);
        } else {
            places.insert(identity, lower.len());
            lower.push(item);
        }
    }
    lower
}

/// What tells an item of a list from the others; None for what equals nothing.
fn identity(field: &str, key: &str, item: &Node) -> Option<String> {
    let Value::Mapping(entries) = &item.value else {
        return None;
    };
    let written = entries
        .iter()
        .find(|entry| is_named(&entry.key, key))
        .map(|entry| &entry.value.value)
        .filter(|value| **value != Value::Null);
    match written {
        None if field == "containers" => Some(TASK.to_owned()),
        None => None,
        Some(Value::String(name)) if field == "containers" && name == RAY_NODE => {
            Some(TASK.to_owned())
        }
        Some(value) => Some(value.to_python_string()),
    }
}

fn is_named(key: &Node, name: &str) -> bool {
    matches!(&key.value, Value::String(key) if key == name)
}

fn name_of(key: &Node) -> String {
    key.value.to_python_string()
}

/// A node out of its place, which is filled again at once.
fn take(node: &mut Node) -> Node {
    std::mem::replace(
        node,
        Node {
            value: Value::Null,
            span: node.span,
        },
    )
}
