//! Finds everything that is wrong with a tree by the table of the language.
//!
//! After it the readers of values take what is well-formed and pass over the rest: what is wrong
//! has been told.

use crate::faults::{Fault, MAX_FAULTS};
use crate::grammar::{Effect, Field, Form, Notation, Record};
use crate::path::Path;
use crate::source::Span;
use crate::view::View;
use crate::words;
use crate::yaml::{Entry, Node, Value};

/// A field that was written and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Its place in the text.
    pub span: Span,
    /// Its name: `resources.disk_tier`.
    pub path: String,
    /// Why it changes nothing.
    pub why: &'static str,
}

/// What was found in one text.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) faults: Vec<Fault>,
    pub(crate) remarks: Vec<Remark>,
}

/// Checks a value against its form. Nothing is always right.
pub(crate) fn check(form: &Form, node: &Node, path: &Path<'_>, findings: &mut Findings) {
    if node.value == Value::Null {
        return;
    }
    if !form.admits(&node.value) {
        findings.faults.push(must_be(path, node, form));
        return;
    }
    match form {
        Form::Word(known) => check_word(known, node, path, findings),
        Form::Integer { min, max } => check_integer(*min, *max, node, path, findings),
        Form::Number { min } => check_number(*min, node, path, findings),
        Form::Notation(notation) => check_notation(notation, node, path, findings),
        Form::List(items) => {
            for (index, item) in items_of(node).iter().enumerate() {
                check(items, item, &path.item(index), findings);
            }
        }
        Form::Map { keys, values } => {
            for entry in entries_of(node) {
                let name = entry.key.value.to_python_string();
                if let Err(problem) = (keys.check)(&name) {
                    let fault = problem.of(path).at(entry.key.span, "");
                    findings.faults.push(fault);
                }
                check(values, &entry.value, &path.key(&name), findings);
            }
        }
        Form::Record(record) => {
            check_record(record, entries_of(node), path, findings);
            check_required(record, node, path, findings);
        }
        Form::OneOf(forms) => {
            let form = forms.iter().find(|form| form.admits(&node.value));
            let form = form.expect("one admits what all together admit");
            check(form, node, path, findings);
        }
        Form::Kubernetes(object) => (object.check)(node, path, &mut findings.faults),
        Form::Bool | Form::Text | Form::Scalar | Form::Any => {}
    }
}

/// Checks the fields of a mapping.
pub(crate) fn check_record(
    record: &'static Record,
    entries: &[Entry],
    path: &Path<'_>,
    findings: &mut Findings,
) {
    for entry in entries {
        let known = match &entry.key.value {
            Value::String(name) => record.field(name),
            _ => None,
        };
        let Some(field) = known else {
            let fault = unknown(record, &entry.key, path, findings);
            findings.faults.push(fault);
            continue;
        };
        let path = path.key(field.name);
        if let Effect::Ignored(why) = field.effect
            && entry.value.value != Value::Null
        {
            findings.remarks.push(Remark {
                span: entry.key.span,
                path: path.to_string(),
                why,
            });
        }
        check(&field.form, &entry.value, &path, findings);
    }
}

/// Names the fields without which a mapping is nothing.
fn check_required(record: &'static Record, node: &Node, path: &Path<'_>, findings: &mut Findings) {
    let written = View::of(node);
    let is_missing = |field: &&Field| field.is_required && written.get(field.name).is_none();
    for field in record.fields.iter().filter(is_missing) {
        let name = field.name;
        let message = match path.to_string().as_str() {
            "" => format!("`{name}` is missing"),
            path => format!("`{path}` has no `{name}`"),
        };
        let fault = Fault::new(message).at(node.span, "");
        let help = match field.example.lines().next() {
            Some(line) => format!("write `{line}`"),
            None => format!("`{name}` must be {}", field.form.what()),
        };
        findings.faults.push(fault.help(help));
    }
}

/// The fault of a field that does not exist.
fn unknown(record: &Record, key: &Node, path: &Path<'_>, findings: &Findings) -> Fault {
    let span = key.span;
    // Looking for the word that was meant is worth it only where it may be told.
    if findings.faults.len() >= MAX_FAULTS {
        return Fault::new("unknown field").at(span, "unknown");
    }
    let name = key.value.to_python_string();
    let path = path.key(&name);
    let fault = Fault::new(format!("unknown field `{path}`")).at(span, "unknown");
    let public = |field: &&Field| field.effect != Effect::Internal;
    let known = || record.fields.iter().filter(public).map(|field| field.name);
    let is_text = matches!(key.value, Value::String(_));
    if let Some(word) = words::similar(&name, known()).filter(|_| is_text) {
        return fault.help(format!("did you mean `{word}`?"));
    }
    let known: Vec<&str> = known().collect();
    fault.help(format!("known here: {}", words::all_of(&known)))
}

fn must_be(path: &Path<'_>, node: &Node, form: &Form) -> Fault {
    let (what, found) = (form.what(), node.value.kind());
    let fault = Fault::new(format!("`{path}` must be {what}, and this is {found}"))
        .at(node.span, format!("must be {what}"));
    let is_collection = matches!(
        node.value,
        Value::Binary(_) | Value::Sequence(_) | Value::Set(_) | Value::Mapping(_)
    );
    if matches!(form, Form::Text | Form::Word(_)) && !is_collection {
        fault.help("write it in quotes")
    } else {
        fault
    }
}

fn check_word(known: &[&str], node: &Node, path: &Path<'_>, findings: &mut Findings) {
    let Value::String(word) = &node.value else {
        return;
    };
    if known.iter().any(|known| known.eq_ignore_ascii_case(word)) {
        return;
    }
    let fault = Fault::new(format!("`{path}`: `{word}` is not known here")).at(node.span, "");
    let help = match words::similar(word, known.iter().copied()) {
        Some(like) => format!("did you mean `{like}`?"),
        None => format!("write {}", words::one_of(known)),
    };
    findings.faults.push(fault.help(help));
}

fn check_integer(min: i64, max: i64, node: &Node, path: &Path<'_>, findings: &mut Findings) {
    let Value::Int(integer) = &node.value else {
        return;
    };
    if integer
        .to_i64()
        .is_some_and(|number| (min..=max).contains(&number))
    {
        return;
    }
    let bounds = match (min, max) {
        (i64::MIN, max) => format!("at most {max}"),
        (min, i64::MAX) => format!("at least {min}"),
        (min, max) => format!("from {min} to {max}"),
    };
    let message = format!("`{path}` must be {bounds}, and this is {integer}");
    findings
        .faults
        .push(Fault::new(message).at(node.span, format!("must be {bounds}")));
}

#[allow(
    clippy::cast_precision_loss,
    reason = "the bounds of the language are small whole numbers"
)]
fn check_number(min: i64, node: &Node, path: &Path<'_>, findings: &mut Findings) {
    let enough = match &node.value {
        Value::Int(integer) => match integer.to_i64() {
            Some(number) => number >= min,
            None => !integer.to_string().starts_with('-'),
        },
        Value::Float(number) => *number >= min as f64,
        _ => true,
    };
    if !enough {
        let found = node.value.to_python_string();
        let message = format!("`{path}` must be at least {min}, and this is {found}");
        let fault = Fault::new(message).at(node.span, format!("must be at least {min}"));
        findings.faults.push(fault);
    }
}

fn check_notation(notation: &Notation, node: &Node, path: &Path<'_>, findings: &mut Findings) {
    if let Err(problem) = (notation.check)(&node.value.to_python_string()) {
        findings.faults.push(problem.of(path).at(node.span, ""));
    }
}

fn items_of(node: &Node) -> &[Node] {
    match &node.value {
        Value::Sequence(items) => items,
        _ => &[],
    }
}

fn entries_of(node: &Node) -> &[Entry] {
    match &node.value {
        Value::Mapping(entries) => entries,
        _ => &[],
    }
}
