//! JSON Schemas for editors, in draft-07: the newest that yaml-language-server reads.
//!
//! A schema finds what can be found without a parser of Skiff's own: kinds, words, bounds, unknown
//! fields. Must not be stricter than Skiff itself: what it refuses, Skiff refuses too.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use skiff_schema::grammar::{Effect, Field, Form, Notation, Record, ScalarKind};

/// The schema of a document whose fields are those of `root`, or those of the document before it.
pub fn json_schema(title: &str, root: &'static Record, header: Option<&'static Record>) -> Value {
    let mut definitions = BTreeMap::new();
    let mut document = record(root, &mut definitions);
    if let Some(header) = header {
        let header = record(header, &mut definitions);
        merge_properties(&mut document, header);
    }
    document["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    document["title"] = json!(title);
    document["definitions"] = json!(definitions);
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

type Definitions = BTreeMap<&'static str, Value>;

fn record(record: &'static Record, definitions: &mut Definitions) -> Value {
    let properties: Map<String, Value> = record
        .fields
        .iter()
        .map(|field| (field.name.to_owned(), property(field, definitions)))
        .collect();
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

fn property(field: &'static Field, definitions: &mut Definitions) -> Value {
    let mut schema = form(&field.form, definitions);
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

fn description(field: &Field) -> String {
    let mut text = format!("{}.", field.about);
    if let Effect::Ignored(why) = field.effect {
        text += &format!(" Ignored: {why}.");
    }
    if !field.default.is_empty() {
        text += &format!(" Default: {}.", field.default);
    }
    if !field.example.is_empty() {
        text += &format!("\n\n{}", field.example);
    }
    text
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

fn form(form: &'static Form, definitions: &mut Definitions) -> Value {
    match form {
        Form::Bool => json!({ "type": ["boolean", "null"] }),
        Form::Text => json!({ "type": ["string", "null"] }),
        Form::Word(known) => word(known),
        Form::Integer { min, max } => bounded("integer", *min, *max),
        Form::Number { min } => bounded("number", *min, i64::MAX),
        Form::Scalar => json!({ "type": ["string", "number", "boolean", "null"] }),
        Form::Notation(notation) => scalar(notation),
        Form::List(items) => json!({
            "type": ["array", "null"],
            "items": self::form(items, definitions),
        }),
        Form::Map { keys, values } => {
            let mut schema = json!({
                "type": ["object", "null"],
                "additionalProperties": self::form(values, definitions),
            });
            if !keys.pattern.is_empty() {
                schema["propertyNames"] = json!({ "pattern": keys.pattern });
            }
            schema
        }
        Form::Record(known) => reference(known, definitions),
        Form::OneOf(forms) => {
            let forms: Vec<Value> = forms
                .iter()
                .map(|form| self::form(form, definitions))
                .collect();
            json!({ "anyOf": forms })
        }
        Form::Kubernetes(_) => json!({ "type": ["object", "null"] }),
        Form::Any => json!({}),
    }
}

/// The definition of a record by its name, which is made once.
fn reference(known: &'static Record, definitions: &mut Definitions) -> Value {
    if !definitions.contains_key(known.name) {
        // Holds the place meanwhile: a record may contain itself.
        definitions.insert(known.name, Value::Null);
        let schema = record(known, definitions);
        definitions.insert(known.name, schema);
    }
    // Alone, `$ref` would hide the description beside it.
    json!({ "allOf": [{ "$ref": format!("#/definitions/{}", pointer(known.name)) }] })
}

/// A name as part of the fragment of an address.
fn pointer(name: &str) -> String {
    name.replace('~', "~0")
        .replace('/', "~1")
        .replace(' ', "%20")
}

/// The known words, which editors offer, and the same in upper and lower case.
fn word(known: &[&str]) -> Value {
    let words: Vec<String> = known.iter().map(|word| any_case(word)).collect();
    json!({
        "anyOf": [
            { "enum": known },
            { "type": "string", "pattern": format!("^({})$", words.join("|")) },
            { "type": "null" },
        ],
    })
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

fn scalar(notation: &Notation) -> Value {
    let kinds = notation.kinds.iter().map(|kind| match kind {
        ScalarKind::Bool => "boolean",
        ScalarKind::Integer => "integer",
        ScalarKind::Float => "number",
        ScalarKind::Text => "string",
    });
    let kinds: Vec<&str> = kinds.chain(["null"]).collect();
    let mut schema = json!({ "type": kinds });
    if !notation.pattern.is_empty() {
        schema["pattern"] = json!(notation.pattern);
    }
    schema
}

#[cfg(test)]
mod tests;
