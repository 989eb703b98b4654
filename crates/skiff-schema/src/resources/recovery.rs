//! How managed jobs recover: a strategy, or a mapping.

use serde_json::{Map, Value as Json};

use crate::grammar::{Field, Form, Record};
use crate::view::View;
use crate::yaml::{Node, Value};

/// The strategies; `none` switches recovery off.
pub(super) const STRATEGIES: [&str; 3] = ["EAGER_NEXT_REGION", "FAILOVER", "none"];

const EXIT_CODE: Form = Form::Integer { min: 0, max: 255 };

/// `job_recovery` as a mapping.
pub(super) static JOB_RECOVERY: Record = Record {
    name: "job_recovery",
    fields: &[
        Field::new(
            "strategy",
            Form::Word(&STRATEGIES),
            "Where a job goes when its nodes vanish; `none` switches recovery off",
        )
        .default("EAGER_NEXT_REGION")
        .example("strategy: FAILOVER"),
        Field::new(
            "max_restarts_on_errors",
            Form::at_least(0),
            "How often a job that failed by itself is started again",
        )
        .default("0")
        .example("max_restarts_on_errors: 3"),
        Field::new(
            "recover_on_exit_codes",
            Form::OneOf(&[EXIT_CODE, Form::List(&EXIT_CODE)]),
            "Exit codes after which a job is started again however often that was",
        )
        .example("recover_on_exit_codes: [33, 34]"),
    ],
};

/// Reads a value that was checked; null switches recovery off.
pub(super) fn read(node: &Node) -> Json {
    let strategy = |word: &str| match word.to_uppercase().as_str() {
        "NONE" => Json::Null,
        word => Json::from(word),
    };
    if let Value::String(word) = &node.value {
        return match strategy(word) {
            Json::Null => Json::Null,
            word => Json::Object(Map::from_iter([("strategy".to_owned(), word)])),
        };
    }
    let fields = View::of(node);
    let written = fields.text("strategy").map(strategy);
    if written == Some(Json::Null) {
        return Json::Null;
    }
    let mut recovery = Map::new();
    recovery.insert("strategy".to_owned(), written.unwrap_or_default());
    if let Some(restarts) = fields.integer("max_restarts_on_errors") {
        recovery.insert("max_restarts_on_errors".to_owned(), restarts.into());
    }
    if let Some(codes) = fields.get("recover_on_exit_codes") {
        recovery.insert("recover_on_exit_codes".to_owned(), exit_codes(codes));
    }
    Json::Object(recovery)
}

fn exit_codes(node: &Node) -> Json {
    match &node.value {
        Value::Int(code) => code.to_i64().into(),
        Value::Sequence(codes) => codes.iter().map(exit_codes).collect(),
        _ => Json::Null,
    }
}
