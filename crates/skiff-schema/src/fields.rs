//! Reading mappings of known fields: each taken once, the rest named as unknown or not supported.

use crate::faults::{Fault, MAX_FAULTS};
use crate::source::Span;
use crate::yaml::{Entry, Node, Value};

/// How alike a word must be to a known one to be offered instead of it.
const LIKENESS: f64 = 0.75;

/// Longer names are not compared with the known ones.
const LONGEST_WORD: usize = 100;

/// The fields of a mapping that exist.
pub(crate) struct Vocabulary {
    /// Read by this version.
    pub(crate) known: &'static [&'static str],
    /// Of the language, and not read by this version.
    pub(crate) unsupported: &'static [&'static str],
    /// Written by machines and without meaning here.
    pub(crate) ignored: &'static [&'static str],
}

/// A mapping whose fields are taken one by one.
pub(crate) struct Fields<'a> {
    /// Dotted path with a dot at its end; empty at the top.
    path: String,
    entries: Vec<Option<&'a Entry>>,
}

/// A field that was written.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) node: &'a Node,
    key: &'a Node,
}

impl Field<'_> {
    /// The place of the value, or of the key where there is no value.
    pub(crate) fn span(&self) -> Span {
        if self.node.value == Value::Null {
            self.key.span
        } else {
            self.node.span
        }
    }

    pub(crate) fn key_span(&self) -> Span {
        self.key.span
    }

    /// A fault that says what the value must be and what it is.
    pub(crate) fn must_be(&self, path: &str, what: &str) -> Fault {
        let found = self.node.value.kind();
        Fault::new(format!("`{path}` must be {what}, and this is {found}"))
            .at(self.span(), format!("must be {what}"))
    }
}

impl<'a> Fields<'a> {
    /// Opens the top of a document.
    pub(crate) fn top(entries: &'a [Entry]) -> Self {
        Self {
            path: String::new(),
            entries: entries.iter().map(Some).collect(),
        }
    }

    /// Opens the mapping of a field; nothing is an empty mapping.
    pub(crate) fn open(path: &str, field: Field<'a>, faults: &mut Vec<Fault>) -> Option<Self> {
        let entries = match &field.node.value {
            Value::Null => Vec::new(),
            Value::Mapping(entries) => entries.iter().map(Some).collect(),
            _ => {
                faults.push(field.must_be(path, "a mapping"));
                return None;
            }
        };
        Some(Self {
            path: format!("{path}."),
            entries,
        })
    }

    /// The full name of a field.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    /// Takes a field, if it is there; a field without a value counts as not there.
    pub(crate) fn take(&mut self, name: &str) -> Option<Field<'a>> {
        let slot = self.entries.iter_mut().find(|slot| {
            slot.is_some_and(|entry| matches!(&entry.key.value, Value::String(key) if key == name))
        })?;
        let entry = slot.take()?;
        let field = Field {
            node: &entry.value,
            key: &entry.key,
        };
        (entry.value.value != Value::Null).then_some(field)
    }

    /// Looks at a field without taking it.
    pub(crate) fn peek(&self, name: &str) -> Option<Field<'a>> {
        let entry = self
            .entries
            .iter()
            .flatten()
            .find(|entry| matches!(&entry.key.value, Value::String(key) if key == name))?;
        Some(Field {
            node: &entry.value,
            key: &entry.key,
        })
    }

    /// Takes a field that must be a string.
    pub(crate) fn string(&mut self, name: &str, faults: &mut Vec<Fault>) -> Option<String> {
        let field = self.take(name)?;
        match &field.node.value {
            Value::String(text) => Some(text.clone()),
            Value::Sequence(_) | Value::Mapping(_) => {
                faults.push(field.must_be(&self.path(name), "a string"));
                None
            }
            _ => {
                let fault = field.must_be(&self.path(name), "a string");
                faults.push(fault.help("write it in quotes"));
                None
            }
        }
    }

    /// All fields that are left, whatever their names.
    pub(crate) fn rest(self) -> impl Iterator<Item = (&'a Node, Field<'a>)> {
        let left = self.entries.into_iter().flatten();
        left.map(|entry| {
            (
                &entry.key,
                Field {
                    node: &entry.value,
                    key: &entry.key,
                },
            )
        })
    }

    /// Names what is left: fields that this version does not read, and fields that do not exist.
    pub(crate) fn finish(self, vocabulary: &Vocabulary, faults: &mut Vec<Fault>) {
        let path = self.path.clone();
        for (key, _) in self.rest() {
            let name = key.value.to_python_string();
            if vocabulary.ignored.contains(&name.as_str()) {
                continue;
            }
            // Looking for a word that was meant is worth it only where it may be told.
            if faults.len() >= MAX_FAULTS {
                faults.push(Fault::new("unknown field").at(key.span, "unknown"));
                continue;
            }
            faults.push(if vocabulary.unsupported.contains(&name.as_str()) {
                not_supported(&path, &name, key.span, vocabulary)
            } else {
                unknown(&path, &name, key.span, vocabulary)
            });
        }
    }
}

fn not_supported(path: &str, name: &str, span: Span, vocabulary: &Vocabulary) -> Fault {
    Fault::new(format!(
        "`{path}{name}` is not supported by this version of Skiff"
    ))
    .at(span, "not supported")
    .help(format!("it reads {}", listed(vocabulary.known)))
}

/// The fault of a field that does not exist.
pub(crate) fn unknown(path: &str, name: &str, span: Span, vocabulary: &Vocabulary) -> Fault {
    let fault = Fault::new(format!("unknown field `{path}{name}`"));
    if name.len() > LONGEST_WORD {
        return fault.at(span, "unknown");
    }
    let words = vocabulary
        .known
        .iter()
        .chain(vocabulary.unsupported)
        .copied();
    match similar(name, words) {
        Some(word) => fault
            .at(span, "unknown")
            .help(format!("did you mean `{word}`?")),
        None => fault
            .at(span, "unknown")
            .help(format!("known here: {}", listed(vocabulary.known))),
    }
}

/// The known word that is most like an unknown one.
pub(crate) fn similar<'a>(name: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    words
        .map(|word| (strsim::jaro_winkler(&name, &word.to_lowercase()), word))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, word)| word)
}

/// `a`, `b` and `c`, each in backquotes.
fn listed(words: &[&str]) -> String {
    joined(words, "and")
}

/// `a`, `b` or `c`, each in backquotes.
pub(crate) fn one_of(words: &[&str]) -> String {
    joined(words, "or")
}

fn joined(words: &[&str], last_word: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} {last_word} {last}", first.join(", ")),
    }
}
