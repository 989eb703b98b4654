//! Services of many replicas and pools of workers, as a task file has them.

use serde_json::Value as Json;

use crate::faults::Fault;
use crate::grammar::{Field, Form, Notation, Problem, Record, ScalarKind};
use crate::json;
use crate::view::View;
use crate::yaml::{Node, Value};

const BALANCINGS: &[&str] = &["least_load", "round_robin", "instance_aware_least_load"];
/// The policy that knows what each kind of GPU can do.
const INSTANCE_AWARE: &str = "instance_aware_least_load";

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

/// The fields of a mapping and its name in messages.
struct Rules<'a> {
    fields: View<'a>,
    path: &'static str,
}

impl Rules<'_> {
    /// A fault at one of the fields.
    fn fault(&self, field: &str, message: &str, help: &str) -> Fault {
        let fault = Fault::new(format!("`{}`: {message}", self.path)).help(help);
        match self.fields.key_span(field) {
            Some(span) => fault.at(span, ""),
            None => fault,
        }
    }

    fn has(&self, field: &str) -> bool {
        self.fields.get(field).is_some()
    }

    /// Whether two numbers are written, the first above the second.
    fn is_above(&self, low: &str, high: &str) -> bool {
        let (low, high) = (self.fields.integer(low), self.fields.integer(high));
        low.zip(high).is_some_and(|(low, high)| low > high)
    }
}

/// Reads a service that has the right form.
pub(crate) fn read_service(node: &Node, faults: &mut Vec<Fault>) -> Json {
    let service = Rules {
        fields: View::of(node),
        path: "service",
    };
    if service.has("replicas") && service.has("replica_policy") {
        let help = "keep `replicas` for a fixed number, or `replica_policy`";
        faults.push(service.fault(
            "replicas",
            "`replicas` and `replica_policy` exclude each other",
            help,
        ));
    }
    let policy = Rules {
        fields: service.fields.view("replica_policy"),
        path: "service.replica_policy",
    };
    check_policy(&policy, faults);
    let by_gpu = matches!(
        policy
            .fields
            .get("target_qps_per_replica")
            .map(|node| &node.value),
        Some(Value::Mapping(_))
    );
    let balancing = service.fields.text("load_balancing_policy");
    let is_aware = balancing.is_some_and(|policy| policy.eq_ignore_ascii_case(INSTANCE_AWARE));
    if by_gpu && !is_aware {
        let message = "targets for each kind of GPU need another load balancing";
        let help = "write `load_balancing_policy: instance_aware_least_load` in `service`";
        faults.push(policy.fault("target_qps_per_replica", message, help));
    }
    if is_aware && !by_gpu {
        let message = "`instance_aware_least_load` needs targets for each kind of GPU";
        let help = "write `target_qps_per_replica: {H100: 2}` in `replica_policy`";
        faults.push(service.fault("load_balancing_policy", message, help));
    }
    let mut json = json::of_node(node);
    if let Some(data) = json.pointer_mut("/readiness_probe/post_data")
        && let Some(parsed) = data
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok())
    {
        *data = parsed;
    }
    json
}

fn check_policy(policy: &Rules<'_>, faults: &mut Vec<Fault>) {
    let fields = policy.fields;
    let has_target = policy.has("target_qps_per_replica");
    if policy.is_above("min_replicas", "max_replicas") {
        let message = "`min_replicas` is above `max_replicas`";
        faults.push(policy.fault("max_replicas", message, "make `max_replicas` larger"));
    } else if has_target && !policy.has("max_replicas") {
        let message = "`target_qps_per_replica` needs `max_replicas`";
        let help = "write how many replicas there may be";
        faults.push(policy.fault("target_qps_per_replica", message, help));
    } else if !has_target
        && policy.has("max_replicas")
        && fields.integer("min_replicas") != fields.integer("max_replicas")
    {
        let message = "nothing says when there are more than `min_replicas`";
        let help = "write `target_qps_per_replica`, or remove `max_replicas`";
        faults.push(policy.fault("max_replicas", message, help));
    }
}

/// Reads a pool that has the right form.
pub(crate) fn read_pool(node: &Node, faults: &mut Vec<Fault>) -> Json {
    let pool = Rules {
        fields: View::of(node),
        path: "pool",
    };
    let follows_queue = pool.has("max_workers");
    if pool.is_above("min_workers", "max_workers") {
        let message = "`min_workers` is above `max_workers`";
        faults.push(pool.fault("max_workers", message, "make `max_workers` larger"));
    }
    let help = "write `workers: 2`, or `min_workers` and `max_workers`";
    if !pool.has("workers") && !pool.has("min_workers") && !follows_queue {
        let fault = Fault::new("`pool` does not say how many workers it has");
        faults.push(fault.at(node.span, "").help(help));
    }
    let queue_fields = [
        "min_workers",
        "queue_length_threshold",
        "upscale_delay_seconds",
        "downscale_delay_seconds",
    ];
    for field in queue_fields.into_iter().filter(|field| pool.has(field)) {
        if !follows_queue {
            let message = format!("`{field}` needs `max_workers`");
            faults.push(pool.fault(field, &message, "write how many workers there may be"));
        }
    }
    json::of_node(node)
}
