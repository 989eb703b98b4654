//! A value and where it was written.

use std::fmt;

use crate::faults::Fault;
use crate::grammar::Problem;
use crate::source::Span;

/// A value and where it was written: a field of the file, or a flag.
#[derive(Clone, Debug)]
pub(super) struct Written<T> {
    pub(super) value: T,
    /// The field or the flag.
    pub(super) name: String,
    /// The field's place.
    pub(super) span: Option<Span>,
}

impl<T> Written<T> {
    pub(super) fn in_file(value: T, name: impl fmt::Display, span: Span) -> Self {
        Self {
            value,
            name: name.to_string(),
            span: Some(span),
        }
    }

    pub(super) fn by_flag(value: T, flag: &str) -> Self {
        Self {
            value,
            name: flag.to_owned(),
            span: None,
        }
    }

    /// The fault of this value.
    pub(super) fn fault(&self, problem: Problem) -> Fault {
        let fault = problem.of(&self.name);
        match self.span {
            Some(span) => fault.at(span, ""),
            None => fault,
        }
    }
}
