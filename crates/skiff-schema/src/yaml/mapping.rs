//! Mappings: unique keys and merges.

use std::collections::HashMap;

use crate::faults::Fault;
use crate::source::Span;

use super::{Entry, Node, Value};

/// A mapping while it is read.
#[derive(Default)]
pub(super) struct MappingBuilder {
    /// Where each key stands in `entries`.
    places: HashMap<String, usize>,
    entries: Vec<Entry>,
    /// Values of `<<`, in the order of the text.
    merges: Vec<Node>,
    faults: Vec<Fault>,
}

impl MappingBuilder {
    pub(super) fn merge(&mut self, value: Node) {
        self.merges.push(value);
    }

    pub(super) fn insert(&mut self, key: Node, value: Node) {
        let Some(identity) = identity(&key.value) else {
            self.faults.push(
                Fault::new(format!("{} cannot be a key", key.value.kind()))
                    .at(key.span, "must be a string or a number"),
            );
            return;
        };
        if let Some(place) = self.places.get(&identity) {
            let first = self.entries[*place].key.span;
            let name = key.value.to_python_string();
            self.faults.push(
                Fault::new(format!("duplicate key `{name}`"))
                    .at(key.span, "again here")
                    .at(first, "first here")
                    .help("keep one of them"),
            );
            return;
        }
        self.places.insert(identity, self.entries.len());
        self.entries.push(Entry { key, value });
    }

    /// The mapping with its merges applied: its own keys win, then of several `<<` the last, then
    /// of a list of mappings the first.
    pub(super) fn finish(mut self, faults: &mut Vec<Fault>) -> Value {
        faults.append(&mut self.faults);
        if self.merges.is_empty() {
            return Value::Mapping(self.entries);
        }
        let mut merged = Merged::default();
        for node in self.merges {
            match node.value {
                Value::Mapping(entries) => merged.add(entries),
                Value::Sequence(nodes) => {
                    for node in nodes.into_iter().rev() {
                        match node.value {
                            Value::Mapping(entries) => merged.add(entries),
                            other => faults.push(not_mergeable(&other, node.span)),
                        }
                    }
                }
                other => faults.push(not_mergeable(&other, node.span)),
            }
        }
        merged.add(self.entries);
        Value::Mapping(merged.entries)
    }
}

/// Entries of several mappings: a later value wins, at the place of the first.
#[derive(Default)]
struct Merged {
    places: HashMap<String, usize>,
    entries: Vec<Entry>,
}

impl Merged {
    fn add(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            let identity =
                identity(&entry.key.value).expect("keys of a finished mapping are scalars");
            if let Some(place) = self.places.get(&identity) {
                self.entries[*place] = entry;
            } else {
                self.places.insert(identity, self.entries.len());
                self.entries.push(entry);
            }
        }
    }
}

fn not_mergeable(value: &Value, span: Span) -> Fault {
    Fault::new(format!(
        "`<<` merges mappings, and this is {}",
        value.kind()
    ))
    .at(span, "must be a mapping or a list of mappings")
}

/// Equal for keys that Python holds for equal: `1`, `1.0` and `true` are one key.
fn identity(key: &Value) -> Option<String> {
    Some(match key {
        Value::String(text) => format!("s{text}"),
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("n{}", u8::from(*value)),
        Value::Int(integer) => format!("n{integer}"),
        Value::Float(float) => format!("n{float}"),
        Value::Timestamp(timestamp) => format!("t{timestamp}"),
        Value::Binary(bytes) => format!("b{bytes:?}"),
        Value::Sequence(_) | Value::Set(_) | Value::Mapping(_) => return None,
    })
}
