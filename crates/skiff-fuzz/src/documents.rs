//! Documents made from the tables of the language: mostly right, so that they get far.

use proptest::prelude::*;
use proptest::strategy::Union;
use skiff_schema::grammar::{Field, Form, Notation, Record, ScalarKind};

/// How deep records are written within records.
const DEEPEST: usize = 6;

/// Scalars that are right somewhere and wrong elsewhere.
const SCALARS: &str = r#"yes|no|~|0|1|2|-1|8080|0\.5|1e3|\.inf|16GB|512MB|4x|4\+|A100:8|80GB\+|k8s|k8s/ctx|aws|docker:a/b:1|8000-8010|2h|best|none|all|ALL|SERVICE_ACCOUNT|s3://b/c|\./data|/data|~/x|\$A|\$\{A\}/b|\$B|MOUNT|COPY|"a b"|"\$A"|'x'|name-1|2024-01-01|"\u0000"|"é""#;

/// A mapping with some of the fields of a record, in the flow style.
pub(crate) fn document(record: &'static Record) -> BoxedStrategy<String> {
    mapping(record, 0)
}

fn mapping(record: &'static Record, depth: usize) -> BoxedStrategy<String> {
    let needed = record.fields.iter().filter(|field| field.is_required);
    let needed: Vec<BoxedStrategy<String>> = needed.map(|field| entry(field, depth)).collect();
    let other = prop_oneof![
        30 => prop::sample::select(record.fields).prop_flat_map(move |field| entry(&field, depth)),
        1 => ("[a-z_]{1,8}", SCALARS).prop_map(|(key, value)| format!("{key}: {value}")),
    ];
    let most = if depth == 0 { 8 } else { 4 };
    (needed, prop::collection::vec(other, 0..most))
        .prop_map(|(needed, others)| {
            let mut entries: Vec<String> = Vec::new();
            for entry in needed.into_iter().chain(others) {
                let key = entry.split(':').next().unwrap_or_default();
                let is_new = |other: &String| other.split(':').next() != Some(key);
                if entries.iter().all(is_new) {
                    entries.push(entry);
                }
            }
            format!("{{{}}}", entries.join(", "))
        })
        .boxed()
}

fn entry(field: &Field, depth: usize) -> BoxedStrategy<String> {
    let name = field.name;
    let written = value(field.form, depth).prop_map(move |value| format!("{name}: {value}"));
    let is_short = !field.example.is_empty() && !field.example.contains(['\n', '#']);
    if is_short {
        let example = field.example;
        prop_oneof![1 => written, 3 => Just(example.to_owned())].boxed()
    } else {
        written.boxed()
    }
}

fn value(form: Form, depth: usize) -> BoxedStrategy<String> {
    let right = right(form, depth);
    prop_oneof![12 => right, 1 => SCALARS, 1 => Just("[a, {b: c}]".to_owned())].boxed()
}

fn right(form: Form, depth: usize) -> BoxedStrategy<String> {
    match form {
        Form::Bool => prop::sample::select(vec!["true", "no", "On"])
            .prop_map(str::to_owned)
            .boxed(),
        Form::Text | Form::Scalar | Form::Any | Form::Kubernetes(_) => SCALARS.boxed(),
        Form::Word(known) => prop::sample::select(known).prop_map(str::to_owned).boxed(),
        Form::Integer { min, max } => {
            let (low, high) = (min.max(-10), max.min(100).max(min));
            prop_oneof![8 => low..=high, 1 => any::<i64>()]
                .prop_map(|number| number.to_string())
                .boxed()
        }
        Form::Number { min } => (min.max(-10)..1000, 0..1000_u16)
            .prop_map(|(whole, part)| format!("{whole}.{part}"))
            .boxed(),
        Form::Notation(notation) => notated(notation),
        Form::List(items) => prop::collection::vec(value(*items, depth), 0..3)
            .prop_map(|items| format!("[{}]", items.join(", ")))
            .boxed(),
        Form::Map { keys, values } => {
            let keys = if keys.what.contains("path") {
                "/[a-z]{1,3}|~/[a-z]|\\$A"
            } else {
                "[A-Z]{1,2}|[a-z]{1,3}"
            };
            prop::collection::btree_map(keys, value(*values, depth), 0..3)
                .prop_map(|entries| {
                    let entries = entries.iter().map(|(key, value)| format!("{key}: {value}"));
                    format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
                })
                .boxed()
        }
        Form::Record(_) if depth >= DEEPEST => Just("{}".to_owned()).boxed(),
        Form::Record(record) => Just(())
            .prop_flat_map(move |()| mapping(record, depth + 1))
            .boxed(),
        Form::OneOf(forms) => Union::new(forms.iter().map(|form| right(*form, depth))).boxed(),
    }
}

fn notated(notation: &'static Notation) -> BoxedStrategy<String> {
    let number = notation.kinds.iter().any(|kind| *kind != ScalarKind::Text);
    if number {
        prop_oneof![SCALARS, (0..200_u32).prop_map(|number| number.to_string())].boxed()
    } else {
        SCALARS.boxed()
    }
}
