//! From the parser's events to trees, within bounds on depth, number and copies.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput, Tag};

use crate::faults::Fault;
use crate::masking;
use crate::source::Span;

use super::mapping::MappingBuilder;
use super::positions::Positions;
use super::{Node, Value, base64, scalar, syntax, text};

/// How deep lists and mappings may be nested.
const MAX_DEPTH: usize = 100;
/// How many values one file may have, aliases counted as what they stand for.
const MAX_NODES: usize = 1_000_000;
/// How many values aliases may add. No honest file comes near; a "billion laughs" does at once.
const MAX_COPIED_NODES: usize = 100_000;
/// How many bytes of text aliases may add.
const MAX_COPIED_BYTES: usize = text::MAX_TEXT;

/// Reads all documents of a text. What is wrong goes to `faults`; None where the text cannot be read to its end.
pub(crate) fn read(text: &str, faults: &mut Vec<Fault>) -> Option<Vec<Node>> {
    let text = text::without_mark(text);
    if let Err(fault) = text::check_size(text.len()) {
        faults.push(fault);
        return None;
    }
    if let Some(fault) = text::forbidden(text) {
        faults.push(fault);
        return None;
    }
    let mut reader = Reader::of(text);
    let end = reader.run();
    faults.append(&mut reader.faults);
    match end {
        Ok(()) => Some(reader.documents),
        Err(fatal) => {
            faults.push(*fatal);
            None
        }
    }
}

/// The text that positions of [`read`] count in.
pub(crate) fn counted(text: &str) -> &str {
    text::without_mark(text)
}

/// A list or mapping that is still open.
struct Open {
    start: Span,
    anchor: usize,
    kind: Kind,
}

enum Kind {
    Sequence(Vec<Node>),
    Mapping {
        builder: MappingBuilder,
        key: Option<Key>,
        is_set: bool,
    },
}

enum Key {
    Merge,
    Plain(Node),
}

/// What an anchor stands for, and what a copy of it costs.
struct Anchored {
    node: Node,
    nodes: usize,
    bytes: usize,
}

struct Reader<'a> {
    text: &'a str,
    positions: Positions<'a>,
    parser: Parser<'a, StrInput<'a>>,
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    copied_nodes: usize,
    copied_bytes: usize,
    faults: Vec<Fault>,
}

/// A fault after which nothing more can be read; boxed because it is large and rare.
type Fatal = Box<Fault>;

impl<'a> Reader<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            text,
            positions: Positions::of(text),
            parser: Parser::new_from_str(text),
            documents: Vec::new(),
            open: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            copied_nodes: 0,
            copied_bytes: 0,
            faults: Vec::new(),
        }
    }

    fn run(&mut self) -> Result<(), Fatal> {
        while let Some(event) = self.parser.next_event() {
            let (event, span) = event.map_err(|error| Box::new(self.syntax_fault(&error)))?;
            let line = self
                .positions
                .byte(span.start.index().saturating_sub(span.start.col()));
            let start = self.positions.byte(span.start.index());
            let end = self.positions.byte(span.end.index());
            if matches!(
                event,
                Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..)
            ) {
                self.check_indentation(line, start)?;
            }
            self.take(event, self.first_line(start, end))?;
        }
        Ok(())
    }

    fn syntax_fault(&self, error: &ScanError) -> Fault {
        syntax::fault(
            self.text,
            self.positions.byte(error.marker().index()),
            error.info(),
        )
    }

    fn take(&mut self, event: Event<'a>, span: Span) -> Result<(), Fatal> {
        match event {
            Event::Scalar(content, style, anchor, tag) => {
                let is_merge =
                    style == ScalarStyle::Plain && tag.is_none() && scalar::is_merge(&content);
                let value = self.scalar(&content, style, tag.as_deref(), span);
                self.add(Node { value, span }, anchor, is_merge)
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_collection_tag(tag.as_deref(), &["seq"], span);
                self.open(anchor, span, Kind::Sequence(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.check_collection_tag(tag.as_deref(), &["map", "set"], span);
                let is_set = tag.as_deref().and_then(core_tag) == Some("set");
                let kind = Kind::Mapping {
                    builder: MappingBuilder::default(),
                    key: None,
                    is_set,
                };
                self.open(anchor, span, kind)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn open(&mut self, anchor: usize, start: Span, kind: Kind) -> Result<(), Fatal> {
        if self.open.len() == MAX_DEPTH {
            let fault = Fault::new(format!("nested more than {MAX_DEPTH} deep"))
                .at(start, "too deep")
                .help("a task needs far less: is a bracket or an indentation wrong?");
            return Err(Box::new(fault));
        }
        self.open.push(Open {
            start,
            anchor,
            kind,
        });
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Fatal> {
        let open = self
            .open
            .pop()
            .expect("the parser balances starts and ends");
        let value = match open.kind {
            Kind::Sequence(nodes) => Value::Sequence(nodes),
            Kind::Mapping {
                builder, is_set, ..
            } => match builder.finish(&mut self.faults) {
                Value::Mapping(entries) if is_set => {
                    Value::Set(entries.into_iter().map(|entry| entry.key).collect())
                }
                mapping => mapping,
            },
        };
        let span = self.first_line(open.start.start as usize, end.end as usize);
        self.add(Node { value, span }, open.anchor, false)
    }

    /// The first line of a range: enough to point at, and a block may be long.
    fn first_line(&self, start: usize, end: usize) -> Span {
        let text = self.text.get(start..end).unwrap_or("");
        let line = text.split('\n').next().unwrap_or("");
        Span::new(start, start + line.trim_end().len())
    }

    fn add(&mut self, node: Node, anchor: usize, is_merge: bool) -> Result<(), Fatal> {
        self.count(1, node.span)?;
        if anchor > 0 {
            let (nodes, bytes) = weight(&node);
            self.anchors.insert(
                anchor,
                Anchored {
                    node: node.clone(),
                    nodes,
                    bytes,
                },
            );
            self.count_copies(nodes, bytes, node.span)?;
        }
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        match &mut open.kind {
            Kind::Sequence(nodes) => nodes.push(node),
            Kind::Mapping { builder, key, .. } => match key.take() {
                None if is_merge => *key = Some(Key::Merge),
                None => *key = Some(Key::Plain(node)),
                Some(Key::Merge) => builder.merge(node),
                Some(Key::Plain(name)) => builder.insert(name, node),
            },
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Fatal> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            let fault = Fault::new("an alias refers to the value that holds it")
                .at(span, "would never end");
            return Err(Box::new(fault));
        };
        let (nodes, bytes) = (anchored.nodes, anchored.bytes);
        self.count_copies(nodes, bytes, span)?;
        let mut node = self.anchors[&anchor].node.clone();
        node.span = span;
        self.count(nodes - 1, span)?;
        self.add(node, 0, false)
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Fatal> {
        self.nodes += nodes;
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        Err(Box::new(
            Fault::new(format!("more than {MAX_NODES} values in one file")).at(span, ""),
        ))
    }

    fn count_copies(&mut self, nodes: usize, bytes: usize, span: Span) -> Result<(), Fatal> {
        self.copied_nodes += nodes;
        self.copied_bytes += bytes;
        if self.copied_nodes <= MAX_COPIED_NODES && self.copied_bytes <= MAX_COPIED_BYTES {
            return Ok(());
        }
        let fault = Fault::new(format!(
            "aliases grow to more than {MAX_COPIED_NODES} values"
        ))
        .at(span, "one copy too many")
        .help("an alias of an alias of an alias grows without bound: write the values out");
        Err(Box::new(fault))
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Value {
        let resolved = match tag {
            None if style == ScalarStyle::Plain => scalar::resolve(text),
            None => Ok(Value::String(text.to_owned())),
            Some(tag) => match core_tag(tag) {
                // The tag `!` alone changes nothing in PyYAML, whatever the specification says.
                Some("") => return self.scalar(text, style, None, span),
                name => return self.tagged_scalar(text, name, tag, span),
            },
        };
        resolved.unwrap_or_else(|error| {
            let shown = self.shown(text);
            let kind = error.kind;
            let fault = Fault::new(format!("{shown} has the form of {kind} but is none"));
            self.faults.push(
                fault
                    .at(span, "")
                    .help("write it in quotes to make it a string"),
            );
            Value::Null
        })
    }

    fn tagged_scalar(&mut self, text: &str, name: Option<&str>, tag: &Tag, span: Span) -> Value {
        let number = || scalar::resolve(text).ok();
        let value = match name {
            Some("str") => Some(Value::String(text.to_owned())),
            Some("null") => Some(Value::Null),
            Some("binary") => base64::decode(text).map(Value::Binary),
            Some("bool") => scalar::boolean(text).map(Value::Bool),
            Some("int") => scalar::integer(text).and_then(Result::ok).map(Value::Int),
            Some("float") => match number() {
                Some(Value::Int(integer)) => integer.to_string().parse().ok().map(Value::Float),
                Some(Value::Float(float)) => Some(Value::Float(float)),
                _ => text.parse().ok().map(Value::Float),
            },
            Some("timestamp") => super::Timestamp::parse(text)
                .and_then(Result::ok)
                .map(Value::Timestamp),
            _ => {
                self.faults.push(syntax::unknown_tag(tag, span));
                return Value::Null;
            }
        };
        value.unwrap_or_else(|| {
            let shown = self.shown(text);
            let tag = syntax::tag_name(tag);
            let fault = Fault::new(format!("{shown} is no value of the tag `{tag}`"));
            self.faults.push(fault.at(span, ""));
            Value::Null
        })
    }

    /// A scalar in a message; not itself within a key that may hold secrets.
    fn shown(&self, text: &str) -> String {
        let is_secret = self.open.iter().any(|open| match &open.kind {
            Kind::Mapping {
                key: Some(Key::Plain(key)),
                ..
            } => masking::is_secret(&key.value.to_python_string()),
            _ => false,
        });
        if is_secret {
            "this".to_owned()
        } else {
            format!("`{text}`")
        }
    }

    fn check_collection_tag(&mut self, tag: Option<&Tag>, known: &[&str], span: Span) {
        let Some(tag) = tag else { return };
        if !core_tag(tag).is_some_and(|name| name.is_empty() || known.contains(&name)) {
            self.faults.push(syntax::unknown_tag(tag, span));
        }
    }

    /// Refuses a tab between the start of the line and a value, which the grammar would let pass.
    fn check_indentation(&self, line: usize, start: usize) -> Result<(), Fatal> {
        let mut tab = None;
        for (at, byte) in self.text.as_bytes()[line..start].iter().enumerate() {
            match byte {
                b' ' | b'-' => {}
                b'\t' => tab = tab.or(Some(line + at)),
                _ => return Ok(()),
            }
        }
        tab.map_or(Ok(()), |tab| Err(Box::new(syntax::tab(tab))))
    }
}

/// The name of a tag of YAML itself; empty for the tag `!`.
fn core_tag(tag: &Tag) -> Option<&str> {
    if tag.is_yaml_core_schema() {
        return Some(&tag.suffix);
    }
    (tag.handle.is_empty() && tag.suffix == "!" || tag.handle == "!" && tag.suffix.is_empty())
        .then_some("")
}

/// How many values a tree has and how many bytes of text.
fn weight(node: &Node) -> (usize, usize) {
    match &node.value {
        Value::String(text) => (1, text.len()),
        Value::Binary(bytes) => (1, bytes.len()),
        Value::Sequence(nodes) | Value::Set(nodes) => nodes.iter().map(weight).fold((1, 0), sum),
        Value::Mapping(entries) => entries
            .iter()
            .flat_map(|entry| [&entry.key, &entry.value])
            .map(weight)
            .fold((1, 0), sum),
        _ => (1, 16),
    }
}

fn sum(left: (usize, usize), right: (usize, usize)) -> (usize, usize) {
    (left.0 + right.0, left.1 + right.1)
}
