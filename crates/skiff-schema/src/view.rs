//! A mapping that has been checked, as the readers of values look at it.

use crate::source::Span;
use crate::yaml::{Entry, Node, Value};

/// The fields of a mapping by name. What is of the wrong kind reads as not written: the check has
/// told of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    entries: &'a [Entry],
}

impl<'a> View<'a> {
    /// The fields of a node; none, if it is no mapping.
    pub(crate) fn of(node: &'a Node) -> Self {
        match &node.value {
            Value::Mapping(entries) => Self { entries },
            _ => Self { entries: &[] },
        }
    }

    /// Every field, in the order of the text.
    pub(crate) fn entries(self) -> &'a [Entry] {
        self.entries
    }

    fn entry(self, name: &str) -> Option<&'a Entry> {
        let is_named =
            |entry: &&Entry| matches!(&entry.key.value, Value::String(key) if key == name);
        self.entries.iter().find(is_named)
    }

    /// A field that holds something.
    pub(crate) fn get(self, name: &str) -> Option<&'a Node> {
        let node = &self.entry(name)?.value;
        (node.value != Value::Null).then_some(node)
    }

    /// The place of a field's key.
    pub(crate) fn key_span(self, name: &str) -> Option<Span> {
        Some(self.entry(name)?.key.span)
    }

    /// The fields of a field.
    pub(crate) fn view(self, name: &str) -> Self {
        self.get(name).map_or(Self { entries: &[] }, Self::of)
    }

    /// A field's string.
    pub(crate) fn text(self, name: &str) -> Option<&'a str> {
        match &self.get(name)?.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// A field's scalar as Python's `str()` writes it.
    pub(crate) fn scalar(self, name: &str) -> Option<String> {
        let value = &self.get(name)?.value;
        let is_collection = matches!(
            value,
            Value::Sequence(_) | Value::Set(_) | Value::Mapping(_)
        );
        (!is_collection).then(|| value.to_python_string())
    }

    /// A field's boolean.
    pub(crate) fn boolean(self, name: &str) -> Option<bool> {
        match self.get(name)?.value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// A field's whole number.
    pub(crate) fn integer(self, name: &str) -> Option<i64> {
        match &self.get(name)?.value {
            Value::Int(integer) => integer.to_i64(),
            _ => None,
        }
    }
}
