//! Values that nobody may see: not in messages, not in what is rendered, not in `Debug`.

use std::fmt;

use indexmap::IndexMap;

/// The secret variables of a task.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(IndexMap<String, String>);

impl Secrets {
    /// Secrets by name.
    pub fn new(values: IndexMap<String, String>) -> Self {
        Self(values)
    }

    /// Their names, in the order of the task.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Names and values, for those who deliver them.
    pub fn reveal(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of one.
    pub fn reveal_one(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
