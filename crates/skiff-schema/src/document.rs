//! Texts that hold one mapping.

use crate::faults::Fault;
use crate::source::Span;
use crate::yaml::{Node, Value};

/// The mapping that a text holds; an empty one, if it holds nothing. `what` says what it should be: `a configuration`.
pub(crate) fn only(documents: Vec<Node>, what: &str, faults: &mut Vec<Fault>) -> Node {
    let mut full = documents
        .into_iter()
        .filter(|document| document.value != Value::Null);
    let Some(document) = full.next() else {
        return empty();
    };
    if !matches!(document.value, Value::Mapping(_)) {
        let kind = document.value.kind();
        let message = format!("{what} must be a mapping, and this is {kind}");
        faults.push(Fault::new(message).at(document.span, ""));
    }
    if let Some(second) = full.next() {
        let fault = Fault::new(format!("{what} must be one document"));
        faults.push(fault.at(second.span, "the second one"));
    }
    document
}

/// A mapping of nothing, which stands nowhere.
pub(crate) fn empty() -> Node {
    Node {
        value: Value::Mapping(Vec::new()),
        span: Span::default(),
    }
}
