//! The language as data: which fields there are, what each may hold, and what it is for.
//!
//! One table serves all who must agree on the language: [`check`](crate::check) finds what is
//! wrong with a text, the JSON Schemas and the reference pages are printed from it. Must not read
//! values: that is the part of the types.

use crate::faults::Fault;
use crate::path::Path;
use crate::yaml::{Node, Value};

/// A mapping with known fields.
#[derive(Debug)]
pub struct Record {
    /// What it is called in messages and as a definition of a JSON Schema.
    pub name: &'static str,
    /// Its fields, in the order in which people should read of them.
    pub fields: &'static [Field],
}

/// A field of a record.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its key.
    pub name: &'static str,
    /// What it may hold; nothing at all always means "not written".
    pub form: Form,
    /// What it is for: one sentence or two in Markdown, without a period at the end.
    pub about: &'static str,
    /// What holds where it is not written; empty: nothing.
    pub default: &'static str,
    /// The field as a user may write it: valid YAML at the field's own level; empty for records
    /// whose own fields have examples.
    pub example: &'static str,
    /// What it changes.
    pub effect: Effect,
    /// Whether its record is nothing without it.
    pub is_required: bool,
}

/// What a field changes on Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// What its description says.
    Acts,
    /// Nothing, for this reason: a fragment that follows "ignored: ".
    Ignored(&'static str),
    /// Nothing; machines write it, people do not, and no reference names it.
    Internal,
}

/// What a field may hold.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// `true`, `no`…
    Bool,
    /// A string.
    Text,
    /// One of these words, in upper or lower case.
    Word(&'static [&'static str]),
    /// A whole number within bounds.
    Integer {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// A number, with a point or without one, of at least this much.
    Number {
        /// The smallest.
        min: i64,
    },
    /// A scalar that becomes text as Python's `str()` makes it.
    Scalar,
    /// A scalar with a notation of its own.
    Notation(&'static Notation),
    /// A list.
    List(&'static Form),
    /// A mapping whose keys the user chooses.
    Map {
        /// What a key must be.
        keys: &'static Notation,
        /// What each key may hold.
        values: &'static Form,
    },
    /// A mapping with known fields.
    Record(&'static Record),
    /// Any of these, told apart by their kind: scalar, list or mapping.
    OneOf(&'static [Form]),
    /// Part of an object of Kubernetes.
    Kubernetes(&'static KubernetesType),
    /// Anything at all.
    Any,
}

/// A way to write a value as a scalar.
#[derive(Debug)]
pub struct Notation {
    /// What it is, as in "must be …": `a number of CPUs`.
    pub what: &'static str,
    /// The kinds of scalar that may hold it, as YAML gives them their types.
    pub kinds: &'static [ScalarKind],
    /// A regular expression of JSON Schema for its strings; empty: none that helps an editor.
    pub pattern: &'static str,
    /// What is wrong with a text.
    pub check: fn(&str) -> Result<(), Problem>,
}

/// The kinds of scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalarKind {
    /// `true`
    Bool,
    /// `8`
    Integer,
    /// `0.5`
    Float,
    /// `eight`
    Text,
}

/// An object of Kubernetes whose fields its own types know.
#[derive(Debug)]
pub struct KubernetesType {
    /// Its name in the API: `PodTemplateSpec`.
    pub name: &'static str,
    /// Finds what is wrong with it.
    pub check: fn(&Node, &Path<'_>, &mut Vec<Fault>),
}

/// What is wrong with a scalar.
#[derive(Clone, Debug)]
pub struct Problem {
    /// A fragment that follows the field's name and a colon.
    pub message: String,
    /// What to write instead; empty: nothing is known.
    pub help: String,
}

impl Problem {
    /// A problem and what to write instead.
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: help.into(),
        }
    }

    /// The fault of the field or flag that has it.
    pub(crate) fn of(self, path: impl std::fmt::Display) -> Fault {
        let fault = Fault::new(format!("`{path}`: {}", self.message));
        if self.help.is_empty() {
            fault
        } else {
            fault.help(self.help)
        }
    }
}

impl Field {
    /// A field that acts, without default and example.
    pub(crate) const fn new(name: &'static str, form: Form, about: &'static str) -> Self {
        Self {
            name,
            form,
            about,
            default: "",
            example: "",
            effect: Effect::Acts,
            is_required: false,
        }
    }

    /// A field that people do not write.
    pub(crate) const fn internal(name: &'static str) -> Self {
        Self {
            effect: Effect::Internal,
            ..Self::new(name, Form::Any, "")
        }
    }

    pub(crate) const fn default(self, default: &'static str) -> Self {
        Self { default, ..self }
    }

    pub(crate) const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    pub(crate) const fn required(self) -> Self {
        Self {
            is_required: true,
            ..self
        }
    }

    pub(crate) const fn ignored(self, why: &'static str) -> Self {
        Self {
            effect: Effect::Ignored(why),
            ..self
        }
    }
}

/// How many fields several lists have together.
pub(crate) const fn count(parts: &[&[Field]]) -> usize {
    let (mut count, mut part) = (0, 0);
    while part < parts.len() {
        count += parts[part].len();
        part += 1;
    }
    count
}

/// Several lists of fields as one, for records that share some of them; `N` is their [`count`].
pub(crate) const fn joined<const N: usize>(parts: &[&[Field]]) -> [Field; N] {
    let mut fields = [Field::internal(""); N];
    let (mut filled, mut part) = (0, 0);
    while part < parts.len() {
        let mut at = 0;
        while at < parts[part].len() {
            fields[filled] = parts[part][at];
            filled += 1;
            at += 1;
        }
        part += 1;
    }
    assert!(
        filled == N,
        "every field has a place, and every place a field"
    );
    fields
}

impl Record {
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl Form {
    /// A whole number of at least so much.
    pub(crate) const fn at_least(min: i64) -> Self {
        Self::Integer { min, max: i64::MAX }
    }

    /// What it is, as in "must be …".
    pub fn what(&self) -> String {
        match self {
            Self::Bool => "a boolean".to_owned(),
            Self::Text | Self::Word(_) => "a string".to_owned(),
            Self::Integer { .. } => "a whole number".to_owned(),
            Self::Number { .. } => "a number".to_owned(),
            Self::Scalar => "a string or a number".to_owned(),
            Self::Notation(notation) => notation.what.to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Map { .. } | Self::Record(_) | Self::Kubernetes(_) => "a mapping".to_owned(),
            Self::OneOf(forms) => {
                let forms: Vec<String> = forms.iter().map(Self::what).collect();
                forms.join(" or ")
            }
            Self::Any => "anything".to_owned(),
        }
    }

    /// Whether a value is of the right kind: what is within it is another matter.
    pub(crate) fn admits(&self, value: &Value) -> bool {
        match self {
            Self::Bool => matches!(value, Value::Bool(_)),
            Self::Text | Self::Word(_) => matches!(value, Value::String(_)),
            Self::Integer { .. } => matches!(value, Value::Int(_)),
            Self::Number { .. } => matches!(value, Value::Int(_) | Value::Float(_)),
            Self::Scalar => !matches!(
                value,
                Value::Sequence(_) | Value::Set(_) | Value::Mapping(_)
            ),
            Self::Notation(notation) => {
                ScalarKind::of(value).is_some_and(|kind| notation.kinds.contains(&kind))
            }
            Self::List(_) => matches!(value, Value::Sequence(_)),
            Self::Map { .. } | Self::Record(_) | Self::Kubernetes(_) => {
                matches!(value, Value::Mapping(_))
            }
            Self::OneOf(forms) => forms.iter().any(|form| form.admits(value)),
            Self::Any => true,
        }
    }
}

impl ScalarKind {
    /// The kind of a value; a date is none, since no field means one.
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(_) => Some(Self::Bool),
            Value::Int(_) => Some(Self::Integer),
            Value::Float(_) => Some(Self::Float),
            Value::String(_) => Some(Self::Text),
            _ => None,
        }
    }
}
