//! How one layer of configuration is laid over another. Every value keeps its place.

use std::collections::HashMap;

pub(super) use crate::document::empty;
use crate::pod_config::merge::merge as merge_fragments;
use crate::yaml::{Entry, Node, Value};

use super::docker;

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
    /// `enable_docker`.
    Docker,
    /// Anything else.
    Plain,
}

impl Place {
    fn of(self, key: &str) -> Self {
        match (self, key) {
            (Self::Top, "kubernetes") | (Self::Contexts, _) => Self::Section,
            (Self::Section, "context_configs") => Self::Contexts,
            (Self::Section, "pod_config" | "custom_metadata") => Self::Fragment,
            (Self::Section, "enable_docker") => Self::Docker,
            _ => Self::Plain,
        }
    }
}

/// Lays one tree over another: mappings key by key, fragments of objects as Kubernetes merges them;
/// else the upper value holds. What holds nothing is not written.
pub(super) fn merge(place: Place, lower: Node, upper: Node) -> Node {
    if upper.value == Value::Null {
        return lower;
    }
    if place == Place::Docker {
        return docker::merge(lower, upper, |lower, upper| {
            merge(Place::Plain, lower, upper)
        });
    }
    let span = upper.span;
    let value = match (lower.value, upper.value) {
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
        (Value::Mapping(below), Value::Mapping(above)) => Value::Mapping(entries(
            below,
            above,
            |key, below, above| match Place::Section.of(key) {
                Place::Docker => merge(Place::Docker, below, above),
                _ if above.value == Value::Null => below,
                _ => merge_fragments(below, above),
            },
        )),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Span;

    fn node(value: Value) -> Node {
        let span = Span::default();
        Node { value, span }
    }

    /// Mappings of mappings of words and lists: what plain sections hold. Nothing is null, since
    /// that is not written.
    fn trees() -> impl Strategy<Value = Node> {
        let word = prop_oneof!["[ab]", "[0-9]"].prop_map(|word| node(Value::String(word)));
        let leaf = prop_oneof![
            word.clone(),
            prop::collection::vec(word, 0..3).prop_map(|items| node(Value::Sequence(items))),
        ];
        let tree = leaf.prop_recursive(3, 20, 4, |inner| {
            prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|fields| {
                let entries = fields.into_iter().map(|(key, value)| Entry {
                    key: node(Value::String(key)),
                    value,
                });
                node(Value::Mapping(entries.collect()))
            })
        });
        tree.prop_map(|tree| match tree.value {
            Value::Mapping(_) => tree,
            other => node(Value::Mapping(vec![Entry {
                key: node(Value::String("a".to_owned())),
                value: node(other),
            }])),
        })
    }

    proptest! {
        #[test]
        fn an_empty_layer_changes_nothing(tree in trees()) {
            for place in [Place::Top, Place::Section, Place::Plain] {
                prop_assert_eq!(&merge(place, tree.clone(), empty()), &tree);
                prop_assert_eq!(&merge(place, empty(), tree.clone()), &tree);
                prop_assert_eq!(&merge(place, tree.clone(), node(Value::Null)), &tree);
            }
            prop_assert_eq!(&merge_context(tree.clone(), empty()), &tree);
        }

        #[test]
        fn laying_a_layer_over_itself_changes_nothing(tree in trees()) {
            prop_assert_eq!(&merge(Place::Plain, tree.clone(), tree.clone()), &tree);
        }

        #[test]
        fn places_are_moved_together(tree in trees(), by in 0_u32..1000) {
            let span = moved(tree.clone(), by).span;
            prop_assert_eq!((span.start, span.end), (by, by));
            prop_assert_eq!(moved(tree.clone(), 0), tree);
        }

        /// Where one layer has a mapping and another a word, the order of merging could matter: the
        /// fields of the mapping come from one place then. So all layers are of one shape here.
        #[test]
        fn merging_is_associative(tree in trees(), picks in prop::collection::vec(any::<u8>(), 64)) {
            let part = |salt: u8| {
                let mut at = 0;
                thinned(&tree, salt, &mut || {
                    at += 1;
                    picks[at % picks.len()].rotate_left(u32::from(salt))
                })
            };
            let (a, b, c) = (part(1), part(2), part(3));
            let all = |left: Node, right: Node| merge(Place::Plain, left, right);
            prop_assert_eq!(
                sorted(all(all(a.clone(), b.clone()), c.clone())),
                sorted(all(a, all(b, c)))
            );
        }
    }

    /// Some fields of a tree, their words marked by the layer.
    fn thinned(tree: &Node, salt: u8, pick: &mut impl FnMut() -> u8) -> Node {
        match &tree.value {
            Value::Mapping(entries) => {
                let mut kept = Vec::new();
                for entry in entries {
                    if pick() & 1 == 1 {
                        kept.push(Entry {
                            key: entry.key.clone(),
                            value: thinned(&entry.value, salt, pick),
                        });
                    }
                }
                node(Value::Mapping(kept))
            }
            _ => node(Value::String(salt.to_string())),
        }
    }

    /// The order of fields means nothing.
    fn sorted(tree: Node) -> Node {
        let Value::Mapping(mut entries) = tree.value else {
            return tree;
        };
        for entry in &mut entries {
            let value = std::mem::replace(&mut entry.value, node(Value::Null));
            entry.value = sorted(value);
        }
        entries.sort_by_key(|entry| entry.key.value.to_python_string());
        node(Value::Mapping(entries))
    }
}
