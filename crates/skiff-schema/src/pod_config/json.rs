//! Trees of YAML as JSON, and JSON as trees without places.

use serde_json::Value as Json;

use crate::json;
use crate::source::Span;
use crate::yaml::{Entry, Integer, Node, Value};

/// A tree as JSON; fields that hold nothing are left out.
pub(super) fn of(node: &Node) -> Json {
    written(json::of_node(node))
}

fn written(json: Json) -> Json {
    match json {
        Json::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            Json::Object(fields.map(|(key, value)| (key, written(value))).collect())
        }
        Json::Array(items) => items.into_iter().map(written).collect(),
        other => other,
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
