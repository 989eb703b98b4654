//! `$NAME` and `${NAME}` in the texts of a tree: each is replaced once, by the value as it is.

use std::collections::HashMap;

use crate::faults::Fault;
use crate::yaml::{Entry, Node, Value};

/// How many bytes the values may add to one task: a value may be long, and stand in many places.
const MAX_GROWTH: usize = 1 << 20;

/// What a variable stands for.
pub(crate) struct Substitute<'a> {
    pub(crate) value: &'a str,
    pub(crate) is_secret: bool,
}

/// Puts values in the place of variables.
pub(crate) struct Substitution<'a> {
    values: HashMap<&'a str, Substitute<'a>>,
    /// How many bytes they have added.
    growth: usize,
    /// Whether the value of a secret has been put in.
    pub(crate) has_secret: bool,
    pub(crate) faults: Vec<Fault>,
}

impl<'a> Substitution<'a> {
    pub(crate) fn new(values: HashMap<&'a str, Substitute<'a>>) -> Self {
        Self {
            values,
            growth: 0,
            has_secret: false,
            faults: Vec::new(),
        }
    }

    /// A tree with values in the place of variables, in keys too.
    pub(crate) fn apply(&mut self, node: &Node) -> Node {
        let replaced = self.replaced(node);
        if self.growth > MAX_GROWTH {
            let fault = Fault::new(format!("variables add more than {MAX_GROWTH} bytes"));
            let help = "put long texts into a file, and mount the file";
            self.faults.push(fault.at(node.span, "").help(help));
        }
        replaced
    }

    fn replaced(&mut self, node: &Node) -> Node {
        let value = match &node.value {
            Value::String(text) => Value::String(self.replace(text)),
            Value::Sequence(items) => {
                Value::Sequence(items.iter().map(|item| self.replaced(item)).collect())
            }
            Value::Mapping(entries) => self.mapping(entries),
            other => other.clone(),
        };
        Node {
            value,
            span: node.span,
        }
    }

    fn mapping(&mut self, entries: &[Entry]) -> Value {
        let mut places = HashMap::new();
        let mut replaced: Vec<Entry> = Vec::with_capacity(entries.len());
        for entry in entries {
            let key = self.replaced(&entry.key);
            let value = self.replaced(&entry.value);
            let name = key.value.to_python_string();
            if let Some(first) = places.insert(name, key.span) {
                let fault = Fault::new("two keys are the same once variables have their values")
                    .at(key.span, "again here")
                    .at(first, "first here")
                    .help("keep one of them");
                self.faults.push(fault);
                continue;
            }
            replaced.push(Entry { key, value });
        }
        Value::Mapping(replaced)
    }

    /// A text with the values of the variables that are known; others stay.
    fn replace(&mut self, text: &str) -> String {
        let mut replaced = String::new();
        let mut rest = text;
        while let Some(variable) = Variable::find(rest) {
            replaced.push_str(&rest[..variable.start]);
            match self.values.get(variable.name) {
                Some(substitute) => {
                    self.has_secret |= substitute.is_secret;
                    self.growth = self.growth.saturating_add(substitute.value.len());
                    if self.growth <= MAX_GROWTH {
                        replaced.push_str(substitute.value);
                    }
                }
                None => replaced.push_str(&rest[variable.start..variable.end]),
            }
            rest = &rest[variable.end..];
        }
        replaced.push_str(rest);
        replaced
    }
}

/// Whether a tree names a variable that satisfies the condition.
pub(crate) fn names_any(node: &Node, is_meant: &dyn Fn(&str) -> bool) -> bool {
    match &node.value {
        Value::String(text) => {
            let mut rest = text.as_str();
            while let Some(variable) = Variable::find(rest) {
                if is_meant(variable.name) {
                    return true;
                }
                rest = &rest[variable.end..];
            }
            false
        }
        Value::Sequence(items) => items.iter().any(|item| names_any(item, is_meant)),
        Value::Mapping(entries) => entries
            .iter()
            .any(|entry| names_any(&entry.key, is_meant) || names_any(&entry.value, is_meant)),
        _ => false,
    }
}

/// The place of a variable in a text.
struct Variable<'a> {
    name: &'a str,
    start: usize,
    end: usize,
}

impl<'a> Variable<'a> {
    /// The first one: `$`, perhaps `{`, a name, perhaps `}`. As in `SkyPilot`, the braces need not
    /// match.
    fn find(text: &'a str) -> Option<Self> {
        let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        let bytes = text.as_bytes();
        let dollars = text.match_indices('$').map(|(at, _)| at);
        for start in dollars {
            let open = usize::from(bytes.get(start + 1) == Some(&b'{'));
            let name = start + 1 + open;
            if !bytes.get(name).is_some_and(|byte| is_letter(*byte)) {
                continue;
            }
            let is_part = |byte: &&u8| is_letter(**byte) || byte.is_ascii_digit();
            let end = name + bytes[name..].iter().take_while(is_part).count();
            let close = usize::from(bytes.get(end) == Some(&b'}'));
            return Some(Self {
                name: &text[name..end],
                start,
                end: end + close,
            });
        }
        None
    }
}
