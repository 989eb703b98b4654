//! The language of `service` and `pool`.

use serde_json::Value as Json;

use crate::grammar::{Field, Form, Notation, Problem, Record, ScalarKind};

const BALANCINGS: &[&str] = &["least_load", "round_robin", "instance_aware_least_load"];
/// A service.
pub(crate) static SERVICE: Record = Record {
    name: "service",
    fields: &[
        Field::new(
            "readiness_probe",
            Form::OneOf(&[Form::Notation(&PROBE_PATH), Form::Record(&PROBE)]),
            "How a replica is asked whether it is ready: a path, or a mapping with more",
        )
        .default("/")
        .example("readiness_probe: /health"),
        Field::new(
            "replicas",
            Form::at_least(0),
            "How many replicas there are; not beside `replica_policy`",
        )
        .default("1")
        .example("replicas: 2"),
        Field::new(
            "replica_policy",
            Form::Record(&REPLICA_POLICY),
            "How the number of replicas follows the load",
        ),
        Field::new(
            "ports",
            Form::Integer { min: 1, max: 65535 },
            "The port on which the replicas listen, where they open several",
        )
        .default("the first port of `resources.ports`")
        .example("ports: 8080"),
        Field::new(
            "load_balancing_policy",
            Form::Word(BALANCINGS),
            "Which replica gets a request",
        )
        .default("least_load")
        .example("load_balancing_policy: round_robin"),
        Field::new(
            "load_balancer",
            Form::Record(&LOAD_BALANCER),
            "Settings of the load balancer",
        ),
        Field::new(
            "tls",
            Form::Record(&TLS),
            "Makes the service answer over TLS",
        ),
    ],
};

static PROBE: Record = Record {
    name: "readiness probe",
    fields: &[
        Field::new(
            "path",
            Form::Notation(&PROBE_PATH),
            "The path that is asked for",
        )
        .example("path: /v1/models")
        .required(),
        Field::new(
            "initial_delay_seconds",
            Form::Number { min: 0 },
            "How long a replica may take to start before it counts as failed",
        )
        .default("1200")
        .example("initial_delay_seconds: 600"),
        Field::new(
            "timeout_seconds",
            Form::Number { min: 0 },
            "How long an answer may take",
        )
        .default("15")
        .example("timeout_seconds: 30"),
        Field::new(
            "endpoint_probe_interval_seconds",
            Form::Number { min: 0 },
            "Time between two questions",
        )
        .default("10")
        .example("endpoint_probe_interval_seconds: 5"),
        Field::new(
            "consecutive_failure_threshold_timeout",
            Form::Number { min: 0 },
            "For how long the questions may fail in a row before the replica is replaced",
        )
        .example("consecutive_failure_threshold_timeout: 180"),
        Field::new(
            "post_data",
            Form::OneOf(&[
                Form::Notation(&JSON_TEXT),
                Form::Map {
                    keys: &ANY_KEY,
                    values: &Form::Any,
                },
            ]),
            "Makes the question a POST with this JSON",
        )
        .example("post_data: {model: llama, max_tokens: 1}"),
        Field::new(
            "headers",
            Form::Map {
                keys: &ANY_KEY,
                values: &Form::Text,
            },
            "Headers of the question",
        )
        .example("headers: {Authorization: Bearer $TOKEN}"),
    ],
};

static REPLICA_POLICY: Record = Record {
    name: "replica policy",
    fields: &[
        Field::new("min_replicas", Form::at_least(0), "The fewest replicas")
            .example("min_replicas: 1")
            .required(),
        Field::new("max_replicas", Form::at_least(0), "The most replicas")
            .default("`min_replicas`")
            .example("max_replicas: 4"),
        Field::new(
            "target_qps_per_replica",
            Form::OneOf(&[
                Form::Number { min: 0 },
                Form::Map {
                    keys: &GPU,
                    values: &Form::Number { min: 0 },
                },
            ]),
            "Requests each second that one replica answers, which decides how many there are; or that number for each kind of GPU",
        )
        .example("target_qps_per_replica: 2.5"),
        Field::new(
            "upscale_delay_seconds",
            Form::Number { min: 0 },
            "How long the load must be high before replicas are added",
        )
        .default("300")
        .example("upscale_delay_seconds: 60"),
        Field::new(
            "downscale_delay_seconds",
            Form::Number { min: 0 },
            "How long the load must be low before replicas are removed",
        )
        .default("1200")
        .example("downscale_delay_seconds: 600"),
        Field::new(
            "num_overprovision",
            Form::at_least(0),
            "Replicas beyond those that the load needs",
        )
        .default("0")
        .example("num_overprovision: 1"),
        Field::new(
            "dynamic_ondemand_fallback",
            Form::Bool,
            "Whether steady nodes stand in for spot nodes that are gone",
        )
        .default("false")
        .example("dynamic_ondemand_fallback: true"),
        Field::new(
            "base_ondemand_fallback_replicas",
            Form::at_least(0),
            "Replicas that are always on steady nodes",
        )
        .default("0")
        .example("base_ondemand_fallback_replicas: 1"),
        Field::new(
            "spot_placer",
            Form::Word(&["dynamic_fallback"]),
            "How spot replicas are spread",
        )
        .example("spot_placer: dynamic_fallback"),
    ],
};

static LOAD_BALANCER: Record = Record {
    name: "load balancer",
    fields: &[Field::new(
        "stream_timeout_seconds",
        Form::Number { min: 0 },
        "How long an answer that streams may be silent",
    )
    .default("120")
    .example("stream_timeout_seconds: 600")],
};

static TLS: Record = Record {
    name: "tls",
    fields: &[
        Field::new("keyfile", Form::Text, "The file of the private key")
            .example("keyfile: ~/tls/key.pem")
            .required(),
        Field::new("certfile", Form::Text, "The file of the certificate")
            .example("certfile: ~/tls/cert.pem")
            .required(),
    ],
};

/// A pool of workers.
pub(crate) static POOL: Record = Record {
    name: "pool",
    fields: &[
        Field::new("workers", Form::at_least(0), "How many workers there are")
            .example("workers: 2"),
        Field::new(
            "min_workers",
            Form::at_least(0),
            "The fewest workers of a pool that follows its queue",
        )
        .default("1")
        .example("min_workers: 0"),
        Field::new(
            "max_workers",
            Form::at_least(0),
            "The most workers: the pool follows its queue",
        )
        .example("max_workers: 8"),
        Field::new(
            "queue_length_threshold",
            Form::at_least(1),
            "How many jobs wait for each worker before one is added",
        )
        .default("1")
        .example("queue_length_threshold: 2"),
        Field::new(
            "upscale_delay_seconds",
            Form::Number { min: 0 },
            "How long the queue must be long before workers are added",
        )
        .default("300")
        .example("upscale_delay_seconds: 60"),
        Field::new(
            "downscale_delay_seconds",
            Form::Number { min: 0 },
            "How long the queue must be short before workers are removed",
        )
        .default("1200")
        .example("downscale_delay_seconds: 600"),
    ],
};

static PROBE_PATH: Notation = Notation {
    what: "a path",
    kinds: &[ScalarKind::Text],
    pattern: "^/",
    check: |text| {
        if text.starts_with('/') {
            return Ok(());
        }
        let message = format!("`{text}` does not begin with `/`");
        Err(Problem::new(message, format!("write `/{text}`")))
    },
};

static JSON_TEXT: Notation = Notation {
    what: "JSON",
    kinds: &[ScalarKind::Text],
    pattern: "",
    check: |text| match serde_json::from_str::<Json>(text) {
        Ok(_) => Ok(()),
        Err(error) => {
            let message = format!("this is no JSON: {error}");
            Err(Problem::new(message, "write it as a mapping of YAML"))
        }
    },
};

static ANY_KEY: Notation = Notation {
    what: "a name",
    kinds: &[ScalarKind::Text],
    pattern: "",
    check: |_| Ok(()),
};

static GPU: Notation = Notation {
    what: "a kind of GPU",
    kinds: &[ScalarKind::Text],
    pattern: "^[A-Z0-9]+(:[0-9]+)?$",
    check: |text| {
        let (name, count) = text.split_once(':').unwrap_or((text, "1"));
        let is_name = |char: char| char.is_ascii_uppercase() || char.is_ascii_digit();
        let is_count = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
        if !name.is_empty() && name.chars().all(is_name) && is_count {
            return Ok(());
        }
        let message = format!("`{text}` is not a kind of GPU");
        Err(Problem::new(message, "write `H100` or `H100:8`"))
    },
};
