//! What the printed schemas accept and refuse, by a validator of JSON Schema.

use jsonschema::Validator;
use serde_json::{Value, json};
use skiff_schema::grammar::{Effect, Field, Form, Record};

use super::json_schema;

const fn field(name: &'static str, form: Form) -> Field {
    Field {
        name,
        form,
        about: "About it",
        default: "",
        example: "",
        effect: Effect::Acts,
        is_required: false,
    }
}

static HEADER: Record = Record {
    name: "header",
    fields: &[field("name", Form::Text), field("execution", Form::Text)],
};

static MOUNT: Record = Record {
    name: "mount",
    fields: &[
        Field {
            is_required: true,
            ..field("path", Form::Text)
        },
        field("mode", Form::Text),
    ],
};

static SAMPLE: Record = Record {
    name: "sample",
    fields: &[
        field("name", Form::Text),
        field("count", Form::Integer { min: 1, max: 10 }),
        field("tier", Form::Word(&["low", "High+"])),
        field("inner", Form::Record(&SAMPLE)),
        field(
            "many",
            Form::OneOf(&[Form::Bool, Form::List(&Form::Record(&SAMPLE))]),
        ),
        field("mount", Form::Record(&MOUNT)),
        Field {
            effect: Effect::Internal,
            ..field("_own", Form::Any)
        },
    ],
};

fn schema() -> Value {
    json_schema("Sample", &SAMPLE, &[&HEADER])
}

fn validator() -> Validator {
    jsonschema::draft7::new(&schema()).expect("a valid schema")
}

#[test]
fn what_the_table_allows_is_valid() {
    let valid = [
        json!(null),
        json!({}),
        json!({ "name": "a", "count": 10, "tier": "low", "execution": "serial" }),
        json!({ "name": null, "count": null, "tier": null, "inner": null, "many": null }),
        json!({ "tier": "LOW" }),
        json!({ "tier": "hIGH+" }),
        json!({ "inner": { "inner": { "count": 1 } } }),
        json!({ "many": true }),
        json!({ "many": [{ "count": 1 }, null] }),
        json!({ "mount": { "path": "/a" } }),
        json!({ "_own": [1, 2] }),
    ];
    let validator = validator();
    for document in valid {
        assert!(validator.is_valid(&document), "{document}");
    }
}

#[test]
fn what_the_table_forbids_is_invalid() {
    let invalid = [
        json!([]),
        json!({ "nam": "a" }),
        json!({ "name": 1 }),
        json!({ "count": 0 }),
        json!({ "count": 11 }),
        json!({ "count": 1.5 }),
        json!({ "tier": "lowest" }),
        json!({ "inner": { "inner": { "execution": "serial" } } }),
        json!({ "many": [{ "count": 0 }] }),
        json!({ "many": "text" }),
        json!({ "mount": { "mode": "a" } }),
    ];
    let validator = validator();
    for document in invalid {
        assert!(!validator.is_valid(&document), "{document}");
    }
}

#[test]
fn fields_are_described_but_for_internal_ones() {
    let schema = schema();
    assert_eq!(schema["properties"]["name"]["description"], "About it.");
    assert_eq!(schema["properties"]["_own"]["description"], Value::Null);
}
