//! The configuration key by key, with the place that each value comes from. Values that nobody may
//! see are masked.

use std::fmt;

use serde_json::Value as Json;

use crate::check::Findings;
use crate::grammar::{Effect, Field, Form, Record};
use crate::json;
use crate::source::Span;
use crate::view::View;
use crate::yaml::{self, Node, Value};

use super::language::{CONFIG, KUBERNETES};
use super::layer::FLAG;
use super::{Config, TaskConfig};

/// What is shown instead of a value that nobody may see.
const MASK: &str = "<hidden>";
/// Keys whose values prove who somebody is, wherever they stand.
const HIDDEN: [&str; 4] = ["db", "service_account_token", "password", "token"];

/// Parts of names of variables whose values are likely to be such.
const TELLING: [&str; 5] = ["TOKEN", "SECRET", "PASS", "KEY", "CREDENTIAL"];

/// A key of the configuration and what holds for it.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigEntry {
    /// The key: `kubernetes.images.task`.
    pub path: String,
    /// Its value; null where there is none, or none that can be written.
    pub value: Json,
    /// Where it comes from.
    pub origin: Origin,
    /// Why it changes nothing, if it does not.
    pub ignored: Option<&'static str>,
    /// What holds where nobody wrote it, if words alone can say that.
    pub default: Option<&'static str>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody wrote it.
    Default,
    /// The flag `--config`.
    Flag,
    /// A file.
    File {
        /// Its name, as it was given to the reader.
        name: String,
        /// The line, counted from 1.
        line: usize,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Flag => f.write_str(FLAG),
            Self::File { name, line } => write!(f, "{name}:{line}"),
        }
    }
}

impl Config {
    /// Every key that acts, with what holds for a context, then every other one that is set.
    pub fn entries(&self, context: Option<&str>) -> Vec<ConfigEntry> {
        let mut listing = Listing {
            config: self,
            entries: Vec::new(),
        };
        let section = self.section(context, &TaskConfig::default());
        listing.record(&KUBERNETES, Some(&section), "kubernetes");
        for tree in [&self.files, &self.flags] {
            let contexts = View::of(tree).view("kubernetes").get("context_configs");
            if let Some(contexts) = contexts {
                listing.value(contexts, "kubernetes.context_configs", None);
            }
        }
        for field in CONFIG
            .fields
            .iter()
            .filter(|field| field.name != "kubernetes")
        {
            let flag = View::of(&self.flags).get(field.name);
            if let Some(node) = flag.or_else(|| View::of(&self.files).get(field.name)) {
                listing.value(node, field.name, ignored_of(field));
            }
        }
        listing.entries
    }

    /// Where the text at a place comes from.
    pub(super) fn origin(&self, place: Span) -> Origin {
        match self.sources.line(place) {
            Some((source, _)) if source.name() == FLAG => Origin::Flag,
            Some((source, line)) => Origin::File {
                name: source.name().to_owned(),
                line,
            },
            None => Origin::Default,
        }
    }
}

/// Entries while they are gathered.
struct Listing<'a> {
    config: &'a Config,
    entries: Vec<ConfigEntry>,
}

impl Listing<'_> {
    /// The fields of a record: what is written, and what acts by its default.
    fn record(&mut self, record: &'static Record, node: Option<&Node>, path: &str) {
        for field in record.fields {
            let path = format!("{path}.{}", field.name);
            let written = node.and_then(|node| View::of(node).get(field.name));
            match (written, field.form) {
                (_, Form::Record(inner)) if field.effect == Effect::Acts => {
                    self.record(inner, written, &path);
                }
                (Some(node), _) => self.value(node, &path, ignored_of(field)),
                (None, _) if field.effect == Effect::Acts && field.name != "context_configs" => {
                    self.entries.push(default_of(field, path));
                }
                (None, _) => {}
            }
        }
    }

    /// A value: mappings by key, lists as a whole where one place wrote them.
    fn value(&mut self, node: &Node, path: &str, ignored: Option<&'static str>) {
        match &node.value {
            Value::Mapping(entries) if !entries.is_empty() => {
                let is_secret = is_secret_variable(View::of(node));
                for entry in entries {
                    let key = entry.key.value.to_python_string();
                    let path = format!("{path}.{key}");
                    if is_secret && key == "value" {
                        self.push(path, MASK.into(), entry.value.span, ignored);
                    } else {
                        self.value(&entry.value, &path, ignored);
                    }
                }
            }
            Value::Sequence(items) if self.is_of_parts(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(item, &format!("{path}[{index}]"), ignored);
                }
            }
            _ => {
                let place = match &node.value {
                    Value::Sequence(items) => items.first().map_or(node.span, |item| item.span),
                    _ => node.span,
                };
                let hidden = is_hidden(path) && node.value != Value::Null;
                let value = if hidden {
                    MASK.into()
                } else {
                    json::of_node(node)
                };
                self.push(path.to_owned(), value, place, ignored);
            }
        }
    }

    fn push(&mut self, path: String, value: Json, place: Span, ignored: Option<&'static str>) {
        self.entries.push(ConfigEntry {
            path,
            value,
            origin: self.config.origin(place),
            ignored,
            default: None,
        });
    }

    /// Whether a list has items that are mappings, or that several places wrote.
    fn is_of_parts(&self, items: &[Node]) -> bool {
        let file = |item: &Node| match self.config.origin(item.span) {
            Origin::File { name, .. } => Some(name),
            _ => None,
        };
        items
            .iter()
            .any(|item| matches!(item.value, Value::Mapping(_)))
            || items
                .windows(2)
                .any(|pair| file(&pair[0]) != file(&pair[1]))
    }
}

/// The entry of a key that nobody wrote: its default as a value, where it is one.
fn default_of(field: &Field, path: String) -> ConfigEntry {
    let literal = match field.default.split('`').collect::<Vec<_>>().as_slice() {
        ["", literal, ""] => Some(*literal),
        [word] if matches!(field.form, Form::Notation(_)) && !word.contains(' ') => Some(*word),
        _ => None,
    };
    let value = literal.and_then(|literal| {
        let documents = yaml::read(literal, &mut Findings::default().faults)?;
        documents.first().map(json::of_node)
    });
    let words = Some(field.default).filter(|words| value.is_none() && !words.is_empty());
    ConfigEntry {
        path,
        value: value.unwrap_or_default(),
        origin: Origin::Default,
        ignored: None,
        default: words,
    }
}

fn ignored_of(field: &Field) -> Option<&'static str> {
    match field.effect {
        Effect::Ignored(why) => Some(why),
        Effect::Acts | Effect::Internal => None,
    }
}

/// Whether it is a variable of a container whose name says that its value is a secret.
fn is_secret_variable(fields: View<'_>) -> bool {
    let name = fields.text("name").unwrap_or_default().to_uppercase();
    TELLING.iter().any(|part| name.contains(part))
}

fn is_hidden(path: &str) -> bool {
    path.split(['.', '[']).any(|key| HIDDEN.contains(&key))
}
