//! One layer of configuration: a file, or what a flag says.

use crate::check::{Findings, Remark, check};
use crate::document;
use crate::faults::{Fault, Faults};
use crate::grammar::Form;
use crate::path::Path;
use crate::source::{Source, Span};
use crate::yaml::{self, Entry, Node, Value};

use super::language::CONFIG;
use super::{docker, merge};

/// What messages call the flag.
pub(super) const FLAG: &str = "--config";

/// One layer of configuration, checked.
#[derive(Clone, Debug)]
pub struct ConfigLayer {
    pub(super) tree: Node,
    pub(super) source: Source,
    pub(super) rank: Rank,
    /// Keys that change nothing.
    pub warnings: Vec<Warning>,
}

/// What a layer is laid over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    /// The files below it; a task's own `config` is laid over it.
    File,
    /// Everything, a task's own `config` included.
    Flag,
}

/// Something in a layer that was understood but changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// One fragment for the user, with file and line.
    pub message: String,
}

impl ConfigLayer {
    /// Reads one configuration file's text; `file_name` is for messages only.
    pub fn read(file_name: &str, text: &str) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let documents = yaml::read(text, &mut faults).unwrap_or_default();
        let tree = document::only(documents, "a configuration", &mut faults);
        let source = Source::new(file_name, yaml::counted(text));
        Self::of(tree, source, Rank::File, faults)
    }

    /// Reads a configuration file's bytes, which may be no UTF-8 at all.
    pub fn read_bytes(file_name: &str, bytes: &[u8]) -> Result<Self, Faults> {
        let text = yaml::decode(bytes).map_err(|fault| Faults::alone(file_name, fault))?;
        Self::read(file_name, text)
    }

    /// Reads what `--config` says, `kubernetes.namespace=research`: a key, its parts joined by
    /// dots, and a value in YAML.
    pub fn from_flag(text: &str) -> Result<Self, Faults> {
        let source = Source::new(FLAG, text);
        let parts = text
            .split_once('=')
            .filter(|(key, value)| !key.split('.').any(str::is_empty) && !value.is_empty());
        let Some((key, value)) = parts else {
            let fault = Fault::new(format!("`{FLAG} {text}` is no key with a value"))
                .at(Span::new(0, text.len()), "")
                .help(format!(
                    "write `{FLAG} kubernetes.namespace=research`, or the path of a file"
                ));
            return Err(Faults::of(&source, vec![fault]));
        };
        let before = Span::new(0, key.len() + 1).end;
        let mut faults = Vec::new();
        let documents = yaml::read(value, &mut faults).unwrap_or_default();
        if let [_, second, ..] = documents.as_slice() {
            let fault = Fault::new(format!("the value of `{key}` must be one document"));
            faults.push(fault.at(second.span, "the second one"));
        }
        let faults = faults
            .into_iter()
            .map(|fault| fault.moved(before))
            .collect();
        let value = documents.into_iter().next().map_or(
            Node {
                value: Value::Null,
                span: Span::new(0, key.len()),
            },
            |node| merge::moved(node, before),
        );
        Self::of(nested(key, value), source, Rank::Flag, faults)
    }

    /// The same layer where a file is what the flag `--config` names.
    #[must_use]
    pub fn as_flag(self) -> Self {
        Self {
            rank: Rank::Flag,
            ..self
        }
    }

    fn of(tree: Node, source: Source, rank: Rank, faults: Vec<Fault>) -> Result<Self, Faults> {
        let mut findings = Findings {
            faults,
            remarks: Vec::new(),
        };
        if matches!(tree.value, Value::Mapping(_)) {
            check(&Form::Record(&CONFIG), &tree, &Path::TOP, &mut findings);
            docker::check_layer(&tree, rank, &mut findings.faults);
        }
        if !findings.faults.is_empty() {
            return Err(Faults::of(&source, findings.faults));
        }
        let mut remarks = findings.remarks;
        remarks.sort_by_key(|remark| remark.span);
        let warnings = remarks
            .iter()
            .map(|remark| Warning::of(remark, &source, rank))
            .collect();
        Ok(Self {
            tree,
            source,
            rank,
            warnings,
        })
    }
}

impl Warning {
    fn of(remark: &Remark, source: &Source, rank: Rank) -> Self {
        let name = source.name();
        let place = match rank {
            Rank::File => format!("{name}:{}", source.position(remark.span.start).0),
            Rank::Flag => name.to_owned(),
        };
        let Remark { path, why, .. } = remark;
        Self {
            message: format!("{place}: `{path}` is ignored: {why}"),
        }
    }
}

/// `a.b` and a value as `{a: {b: value}}`.
fn nested(key: &str, value: Node) -> Node {
    let mut end = key.len();
    key.rsplit('.').fold(value, |value, part| {
        let span = Span::new(end - part.len(), end);
        end = end.saturating_sub(part.len() + 1);
        let key = Node {
            value: Value::String(part.to_owned()),
            span,
        };
        Node {
            value: Value::Mapping(vec![Entry { key, value }]),
            span,
        }
    })
}
