//! JSON Schemas for editors, in draft-07: the newest that yaml-language-server reads.
//!
//! A schema finds what can be found without a parser of Skiff's own: kinds, words, bounds, unknown
//! fields. Must not be stricter than Skiff itself: what it refuses, Skiff refuses too.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use skiff_schema::grammar::{Effect, Field, Form, Notation, Record, ScalarKind};

/// The schema of a document whose fields are those of `root`, or those of a document before it,
/// which has one of the records of `headers`: an editor looks at each document alone.
pub fn json_schema(title: &str, root: &'static Record, headers: &[&'static Record]) -> Value {
    let mut printer = Printer::default();
    let mut document = printer.record(root, true);
    for header in headers {
        let header = printer.record(header, false);
        merge_properties(&mut document, header);
    }
    document["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    document["title"] = json!(title);
    document["definitions"] = json!(printer.definitions);
    document
}

/// Adds the properties of another schema to those that are there.
fn merge_properties(document: &mut Value, other: Value) {
    let properties = document["properties"].as_object_mut();
    let properties = properties.expect("a record has properties");
    if let Value::Object(mut other) = other
        && let Some(Value::Object(others)) = other.remove("properties")
    {
        for (name, property) in others {
            properties.entry(name).or_insert(property);
        }
    }
}

/// Fields of a task in which variables are replaced: until then, a text may be any other.
const SUBSTITUTED: [&str; 4] = ["workdir", "file_mounts", "volumes", "service"];
/// A text in which a variable may stand.
const VARIABLE: &str = "\\$";

/// The definitions that a document refers to, while they are collected.
#[derive(Default)]
struct Printer {
    definitions: BTreeMap<&'static str, Value>,
    /// Whether variables are replaced in what is being printed.
    is_substituted: bool,
}

impl Printer {
    fn record(&mut self, record: &'static Record, is_top: bool) -> Value {
        let properties = record.fields.iter().map(|field| {
            if is_top {
                self.is_substituted = SUBSTITUTED.contains(&field.name);
            }
            (field.name.to_owned(), self.property(field))
        });
        let properties: Map<String, Value> = properties.collect();
        let required = record.fields.iter().filter(|field| field.is_required);
        let required: Vec<&str> = required.map(|field| field.name).collect();
        let mut schema = json!({
            "type": ["object", "null"],
            "properties": properties,
            "additionalProperties": false,
        });
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        schema
    }

    fn property(&mut self, field: &'static Field) -> Value {
        let mut schema = self.form(&field.form);
        let described = schema.as_object_mut().expect("a schema is a mapping");
        if field.effect == Effect::Internal {
            described.insert("doNotSuggest".to_owned(), json!(true));
            return schema;
        }
        described.insert("description".to_owned(), json!(description(field)));
        if let Some(default) = default(field) {
            described.insert("default".to_owned(), default);
        }
        schema
    }

    fn form(&mut self, form: &'static Form) -> Value {
        match form {
            Form::Bool => json!({ "type": ["boolean", "null"] }),
            Form::Text => json!({ "type": ["string", "null"] }),
            Form::Word(known) => self.word(known),
            Form::Integer { min, max } => bounded("integer", *min, *max),
            Form::Number { min } => bounded("number", *min, i64::MAX),
            Form::Scalar => json!({ "type": ["string", "number", "boolean", "null"] }),
            Form::Notation(notation) => self.scalar(notation),
            Form::List(items) => json!({
                "type": ["array", "null"],
                "items": self.form(items),
            }),
            Form::Map { keys, values } => {
                let mut schema = json!({
                    "type": ["object", "null"],
                    "additionalProperties": self.form(values),
                });
                if !keys.pattern.is_empty() {
                    schema["propertyNames"] = json!({ "pattern": self.pattern(keys.pattern) });
                }
                schema
            }
            Form::Record(known) => self.reference(known),
            Form::OneOf(forms) => {
                let forms: Vec<Value> = forms.iter().map(|form| self.form(form)).collect();
                json!({ "anyOf": forms })
            }
            Form::Kubernetes(_) => json!({ "type": ["object", "null"] }),
            Form::Any => json!({}),
        }
    }

    /// The definition of a record by its name, which is made once.
    fn reference(&mut self, known: &'static Record) -> Value {
        if !self.definitions.contains_key(known.name) {
            // Holds the place meanwhile: a record may contain itself.
            self.definitions.insert(known.name, Value::Null);
            let schema = self.record(known, false);
            self.definitions.insert(known.name, schema);
        }
        // Beside `$ref` itself, the description would count for nothing.
        json!({ "allOf": [{ "$ref": format!("#/definitions/{}", pointer(known.name)) }] })
    }

    /// The known words, which editors offer, and the same in upper and lower case.
    fn word(&self, known: &[&str]) -> Value {
        let words: Vec<String> = known.iter().map(|word| any_case(word)).collect();
        let pattern = self.pattern(&format!("^({})$", words.join("|")));
        json!({
            "anyOf": [
                { "enum": known },
                { "type": "string", "pattern": pattern },
                { "type": "null" },
            ],
        })
    }

    fn scalar(&self, notation: &Notation) -> Value {
        let kinds = notation.kinds.iter().map(|kind| match kind {
            ScalarKind::Bool => "boolean",
            ScalarKind::Integer => "integer",
            ScalarKind::Float => "number",
            ScalarKind::Text => "string",
        });
        let kinds: Vec<&str> = kinds.chain(["null"]).collect();
        let mut schema = json!({ "type": kinds });
        if !notation.pattern.is_empty() {
            schema["pattern"] = json!(self.pattern(notation.pattern));
        }
        schema
    }

    fn pattern(&self, pattern: &str) -> String {
        if self.is_substituted {
            format!("{pattern}|{VARIABLE}")
        } else {
            pattern.to_owned()
        }
    }
}

fn description(field: &Field) -> String {
    let mut parts = vec![format!("{}.", field.about)];
    if let Effect::Ignored(why) = field.effect {
        parts.push(format!(" Ignored: {why}."));
    }
    if !field.default.is_empty() {
        parts.push(format!(" Default: {}.", field.default));
    }
    if !field.example.is_empty() {
        parts.push(format!("\n\n{}", field.example));
    }
    parts.concat()
}

/// The default as a value, where it is one and no sentence: editors write it into the file.
fn default(field: &Field) -> Option<Value> {
    let text = field.default.trim_matches('`');
    match field.form {
        Form::Bool => text.parse().ok().map(Value::Bool),
        Form::Integer { .. } | Form::Number { .. } => text.parse::<i64>().ok().map(Value::from),
        Form::Word(known) => known.contains(&text).then(|| json!(text)),
        _ => None,
    }
}

/// A name as part of the fragment of an address.
fn pointer(name: &str) -> String {
    name.replace('~', "~0")
        .replace('/', "~1")
        .replace(' ', "%20")
}

fn any_case(word: &str) -> String {
    let char = |char: char| match char {
        char if char.is_ascii_alphabetic() => {
            format!(
                "[{}{}]",
                char.to_ascii_uppercase(),
                char.to_ascii_lowercase()
            )
        }
        char if char.is_ascii_alphanumeric() || matches!(char, '_' | '-') => char.to_string(),
        char => format!("\\{char}"),
    };
    word.chars().map(char).collect()
}

fn bounded(kind: &str, min: i64, max: i64) -> Value {
    let mut schema = json!({ "type": [kind, "null"] });
    if min != i64::MIN {
        schema["minimum"] = json!(min);
    }
    if max != i64::MAX {
        schema["maximum"] = json!(max);
    }
    schema
}

#[cfg(test)]
mod tests;
