//! How one layer of configuration is laid over another. Every value keeps its place.

use std::collections::HashMap;

use crate::pod_config::merge::merge as merge_fragments;
use crate::yaml::{Entry, Node, Value};

/// Where a mapping stands: that decides how it is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A whole layer, or the `config` of a task.
    Top,
    /// The `kubernetes` section, or that of one context.
    Section,
    /// The sections of the contexts.
    Contexts,
    /// A fragment of an object of Kubernetes.
    Fragment,
    /// Anything else.
    Plain,
}

impl Place {
    fn of(self, key: &str) -> Self {
        match (self, key) {
            (Self::Top, "kubernetes") | (Self::Contexts, _) => Self::Section,
            (Self::Section, "context_configs") => Self::Contexts,
            (Self::Section, "pod_config" | "custom_metadata") => Self::Fragment,
            _ => Self::Plain,
        }
    }
}

/// Lays one tree over another: mappings key by key, fragments of objects as Kubernetes merges them;
/// else the upper value holds. What holds nothing is not written.
pub(super) fn merge(place: Place, lower: Node, upper: Node) -> Node {
    let span = upper.span;
    let value = match (lower.value, upper.value) {
        (below, Value::Null) => {
            return Node {
                value: below,
                span: lower.span,
            };
        }
        (Value::Mapping(below), Value::Mapping(above)) if place == Place::Fragment => {
            let node = |value| Node {
                value: Value::Mapping(value),
                span,
            };
            return merge_fragments(node(below), node(above));
        }
        (Value::Mapping(below), Value::Mapping(above)) => {
            Value::Mapping(entries(below, above, |key, below, above| {
                merge(place.of(key), below, above)
            }))
        }
        (_, above) => above,
    };
    Node { value, span }
}

/// Lays the section of a context over the one for all: what are mappings in both are merged as
/// Kubernetes merges, as `SkyPilot` does.
pub(super) fn merge_context(section: Node, own: Node) -> Node {
    let span = section.span;
    let value = match (section.value, own.value) {
        (Value::Mapping(below), Value::Mapping(above)) => {
            Value::Mapping(entries(below, above, |_, below, above| {
                if above.value == Value::Null {
                    below
                } else {
                    merge_fragments(below, above)
                }
            }))
        }
        (below, Value::Null) => below,
        (_, above) => above,
    };
    Node { value, span }
}

fn entries(
    mut lower: Vec<Entry>,
    upper: Vec<Entry>,
    merge: impl Fn(&str, Node, Node) -> Node,
) -> Vec<Entry> {
    let name = |entry: &Entry| entry.key.value.to_python_string();
    let places: HashMap<String, usize> = lower.iter().map(name).zip(0..).collect();
    for entry in upper {
        let name = name(&entry);
        let Some(place) = places.get(&name) else {
            lower.push(entry);
            continue;
        };
        let below = &mut lower[*place].value;
        let nothing = Node {
            value: Value::Null,
            span: below.span,
        };
        *below = merge(&name, std::mem::replace(below, nothing), entry.value);
    }
    lower
}

/// The tree with all its places moved.
pub(super) fn moved(node: Node, by: u32) -> Node {
    let value = match node.value {
        Value::Sequence(items) => {
            Value::Sequence(items.into_iter().map(|item| moved(item, by)).collect())
        }
        Value::Mapping(entries) => {
            let entries = entries.into_iter().map(|entry| Entry {
                key: moved(entry.key, by),
                value: moved(entry.value, by),
            });
            Value::Mapping(entries.collect())
        }
        scalar => scalar,
    };
    Node {
        value,
        span: node.span.moved(by),
    }
}

/// A mapping without a field.
pub(super) fn without(node: Node, field: &str) -> Node {
    let Value::Mapping(mut entries) = node.value else {
        return node;
    };
    entries.retain(|entry| !matches!(&entry.key.value, Value::String(key) if key == field));
    Node {
        value: Value::Mapping(entries),
        span: node.span,
    }
}

/// A mapping of nothing.
pub(super) fn empty() -> Node {
    Node {
        value: Value::Mapping(Vec::new()),
        span: crate::Span::default(),
    }
}
