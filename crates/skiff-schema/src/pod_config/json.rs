//! Trees of YAML as JSON, and JSON as trees without places.

use serde_json::{Map, Number, Value as Json};

use crate::source::Span;
use crate::yaml::{Entry, Integer, Node, Value};

/// A tree as JSON; what holds nothing is left out.
pub(super) fn of(node: Node) -> Json {
    match node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(value),
        Value::Int(integer) => integer
            .to_i64()
            .map_or_else(|| Json::String(integer.to_string()), Json::from),
        Value::Float(value) => Number::from_f64(value)
            .map_or_else(|| Json::String(node.value.to_python_string()), Json::Number),
        Value::Timestamp(_) => Json::String(node.value.to_python_string()),
        Value::String(text) => Json::String(text),
        Value::Sequence(items) => Json::Array(items.into_iter().map(of).collect()),
        Value::Mapping(entries) => {
            let written = entries
                .into_iter()
                .filter(|entry| entry.value.value != Value::Null)
                .map(|entry| (entry.key.value.to_python_string(), of(entry.value)));
            Json::Object(written.collect::<Map<_, _>>())
        }
    }
}

/// JSON as a tree.
pub(super) fn node(json: Json) -> Node {
    plain(match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(number) => number.as_i128().map_or_else(
            || Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            |number| Value::Int(Integer::from(number)),
        ),
        Json::String(text) => Value::String(text),
        Json::Array(items) => Value::Sequence(items.into_iter().map(node).collect()),
        Json::Object(fields) => {
            let fields = fields.into_iter();
            Value::Mapping(
                fields
                    .map(|(key, value)| entry(&key, node(value)))
                    .collect(),
            )
        }
    })
}

/// A value that stands in no text.
pub(super) fn plain(value: Value) -> Node {
    Node {
        value,
        span: Span::default(),
    }
}

/// A field that stands in no text.
pub(super) fn entry(key: &str, value: Node) -> Entry {
    Entry {
        key: plain(Value::String(key.to_owned())),
        value,
    }
}
