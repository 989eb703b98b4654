//! Values that nobody may see: not in messages, not in what is rendered, not in `Debug`.

use std::fmt;

use indexmap::IndexMap;
use serde_json::Value as Json;

/// The secret variables of a task.
#[derive(Clone, Default, PartialEq)]
pub struct Secrets {
    values: IndexMap<String, String>,
    /// Fields of the task that hold one of the values, as they may be shown.
    hidden_in: IndexMap<String, Json>,
}

impl Secrets {
    /// Secrets by name.
    pub fn new(values: IndexMap<String, String>) -> Self {
        Self {
            values,
            hidden_in: IndexMap::new(),
        }
    }

    /// The same, of a task whose fields hold some of the values; how these fields may be shown.
    pub(crate) fn hidden_in(self, fields: IndexMap<String, Json>) -> Self {
        Self {
            hidden_in: fields,
            ..self
        }
    }

    /// A field of the task as it may be shown, where it holds the value of a secret.
    pub(crate) fn shown(&self, field: &str) -> Option<&Json> {
        self.hidden_in.get(field)
    }

    /// Their names, in the order of the task.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Names and values, for those who deliver them.
    pub fn reveal(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of one.
    pub fn reveal_one(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
