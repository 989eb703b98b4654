//! Services of many replicas and pools of workers, as a task file has them.

mod grammar;

use serde_json::{Map, Value as Json, json};

use crate::faults::Fault;
use crate::json;
use crate::view::View;
use crate::yaml::{Node, Value};

pub(crate) use grammar::{POOL, SERVICE};

/// The policy that knows what each kind of GPU can do.
const INSTANCE_AWARE: &str = "instance_aware_least_load";
/// Seconds that a replica may take to start, where nothing is written.
const INITIAL_DELAY: u32 = 1200;
/// Seconds that a replica may take to answer, where nothing is written.
const PROBE_TIMEOUT: u32 = 15;

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
    service_json(node)
}

/// A service with its defaults: the probe as a mapping, a fixed number as a policy.
fn service_json(node: &Node) -> Json {
    let Json::Object(mut service) = json::of_node(node) else {
        return Json::Null;
    };
    service.retain(|_, value| !value.is_null());
    let mut probe = match service.remove("readiness_probe") {
        Some(Json::Object(probe)) => probe,
        path => Map::from_iter([("path".to_owned(), path.unwrap_or_else(|| json!("/")))]),
    };
    probe.retain(|_, value| !value.is_null());
    if let Some(data) = probe.get_mut("post_data")
        && let Some(parsed) = data
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok())
    {
        *data = parsed;
    }
    let defaults = [
        ("initial_delay_seconds", INITIAL_DELAY),
        ("timeout_seconds", PROBE_TIMEOUT),
    ];
    for (name, seconds) in defaults {
        probe.entry(name).or_insert_with(|| json!(seconds));
    }
    service.insert("readiness_probe".to_owned(), Json::Object(probe));
    let replicas = service.remove("replicas").unwrap_or_else(|| json!(1));
    let policy = service.entry("replica_policy");
    policy.or_insert_with(|| json!({ "min_replicas": replicas }));
    Json::Object(service)
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
    if !matches!(node.value, Value::Mapping(_)) {
        return Json::Null;
    }
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
    pool_json(node)
}

/// A pool with its defaults.
fn pool_json(node: &Node) -> Json {
    let Json::Object(mut pool) = json::of_node(node) else {
        return Json::Null;
    };
    pool.retain(|_, value| !value.is_null());
    if pool.contains_key("max_workers") {
        let workers = pool.remove("workers").unwrap_or_else(|| json!(1));
        pool.entry("min_workers").or_insert(workers);
        pool.entry("queue_length_threshold").or_insert(json!(1));
    }
    Json::Object(pool)
}
