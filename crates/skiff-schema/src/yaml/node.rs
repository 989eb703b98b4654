//! The tree that a document becomes.

use crate::source::Span;

use super::{Integer, Timestamp};

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Its place; of an alias, the place of the alias.
    pub span: Span,
}

/// A value with the type that `PyYAML` gives it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `~`, `null` or nothing.
    Null,
    /// `yes`, `off`, `True`…
    Bool(bool),
    /// A whole number of any size.
    Int(Integer),
    /// A number with a point, `.inf` or `.nan`.
    Float(f64),
    /// A date, or a date and a time.
    Timestamp(Timestamp),
    /// Everything else, and everything in quotes.
    String(String),
    /// `!!binary`.
    Binary(Vec<u8>),
    /// A list.
    Sequence(Vec<Node>),
    /// `!!set`, in the order of the text.
    Set(Vec<Node>),
    /// A mapping in the order of the text, merges applied, keys unique.
    Mapping(Vec<Entry>),
}

/// One key of a mapping and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key, which is never a list or a mapping.
    pub key: Node,
    /// The value.
    pub value: Node,
}

impl Value {
    /// What a user calls it: `a string`, `a list`…
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "empty",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Timestamp(_) => "a date",
            Self::String(_) => "a string",
            Self::Binary(_) => "binary data",
            Self::Set(_) => "a set",
            Self::Sequence(_) => "a list",
            Self::Mapping(_) => "a mapping",
        }
    }

    /// Its text as Python's `str()` gives it: what a variable of the task gets.
    pub fn to_python_string(&self) -> String {
        super::python::str(self)
    }
}
