//! One form for both programs' results, so that they can be compared.
//!
//! It fills in what one of them writes out and the other does not; it must not hide what a user
//! would notice.

use serde_json::{Map, Value as Json, json};

/// The events of a hook that names none.
const HOOK_EVENTS: [&str; 3] = ["stop", "preemption", "down"];
/// Seconds that a hook may take that says nothing.
const HOOK_TIMEOUT: u64 = 3600;
/// Gigabytes of a disk that nobody asked for.
const DISK: u64 = 256;

/// The common form of a task.
pub(crate) fn task(mut task: Json) -> Json {
    let fields = task.as_object_mut().expect("a task is an object");
    for candidate in list(fields.get_mut("resources")) {
        resources(candidate);
    }
    candidates(fields);
    for mount in values(fields.get_mut("file_mounts")) {
        storage(mount);
    }
    for volume in values(fields.get_mut("volumes")) {
        let only_name = volume.as_object().is_some_and(|fields| fields.len() == 1);
        if let Some(name) = volume.get("name").filter(|_| only_name).cloned() {
            *volume = name;
        }
    }
    if let Some(service) = fields.get_mut("service").and_then(Json::as_object_mut) {
        self::service(service);
    }
    if let Some(pool) = fields.get_mut("pool").and_then(Json::as_object_mut)
        && pool.contains_key("max_workers")
    {
        pool.entry("min_workers").or_insert(json!(1));
        pool.entry("queue_length_threshold").or_insert(json!(1));
    }
    hooks(fields);
    for field in ["workdir", "config"] {
        if let Some(inner) = fields.get_mut(field).and_then(Json::as_object_mut) {
            said(inner);
        }
    }
    if fields.get("api_server_access") == Some(&json!(true)) {
        fields.remove("api_server_access");
    }
    said(fields);
    numbers(task)
}

/// The common form of what several tasks have in common.
pub(crate) fn group(mut group: Json) -> Json {
    let delays = match group.get_mut("termination_delay") {
        Some(Json::Object(delays)) => delays.values_mut().collect(),
        Some(delay) => vec![delay],
        None => Vec::new(),
    };
    for delay in delays {
        if let Some(text) = delay.as_str() {
            *delay = json!(seconds(text));
        }
    }
    numbers(group)
}

fn seconds(text: &str) -> u64 {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let unit = match &text[digits.len()..] {
        "m" => 60,
        "h" => 3600,
        _ => 1,
    };
    digits.parse::<u64>().expect("a number of seconds") * unit
}

/// A candidate: the default of the disk is not a wish, and Kubernetes is where everything runs.
fn resources(candidate: &mut Json) {
    let Some(fields) = candidate.as_object_mut() else {
        return;
    };
    fields.retain(|name, value| match name.as_str() {
        "disk_size" => *value != json!(DISK),
        "infra" => *value != json!("kubernetes"),
        "use_spot" => *value != json!(false),
        // How a registry is logged in to is decided where the pod is made.
        "docker_login" => false,
        _ => true,
    });
    if let Some(recovery) = fields.get_mut("job_recovery").and_then(Json::as_object_mut) {
        recovery.retain(|_, value| !value.is_null());
    }
    for choice in ["any_of", "ordered"] {
        if fields.remove(choice) == Some(json!(true)) {
            fields.insert("choice".to_owned(), json!(choice));
        }
    }
    said(fields);
}

/// One candidate is no choice, and any of several have no order.
fn candidates(task: &mut Map<String, Json>) {
    let Some(found) = task.get_mut("resources").and_then(Json::as_array_mut) else {
        return;
    };
    if let [only] = found.as_mut_slice() {
        only.as_object_mut().map(|fields| fields.remove("choice"));
    }
    if found
        .iter()
        .all(|one| one.get("choice") == Some(&json!("any_of")))
    {
        found.sort_by_key(|one| numbers(one.clone()).to_string());
    }
}

fn storage(mount: &mut Json) {
    let Some(fields) = mount.as_object_mut() else {
        return;
    };
    for name in ["mode", "store", "type"] {
        if let Some(Json::String(word)) = fields.get_mut(name) {
            *word = word.to_uppercase();
        }
    }
    // Machines write these, people do not.
    fields.retain(|name, _| !name.starts_with('_'));
    fields.entry("mode").or_insert(json!("MOUNT"));
    fields.entry("persistent").or_insert(json!(true));
    said(fields);
}

fn service(service: &mut Map<String, Json>) {
    let probe = service.remove("readiness_probe").unwrap_or(json!("/"));
    let mut probe = match probe {
        Json::String(path) => json!({ "path": path }),
        other => other,
    };
    if let Some(fields) = probe.as_object_mut() {
        fields.entry("initial_delay_seconds").or_insert(json!(1200));
        fields.entry("timeout_seconds").or_insert(json!(15));
        if let Some(Json::String(text)) = fields.get("post_data") {
            let parsed = serde_json::from_str(text).unwrap_or_default();
            fields.insert("post_data".to_owned(), parsed);
        }
        said(fields);
    }
    service.insert("readiness_probe".to_owned(), probe);
    let replicas = service.remove("replicas").unwrap_or(json!(1));
    service
        .entry("replica_policy")
        .or_insert(json!({ "min_replicas": replicas }));
    said(service);
}

/// Hooks stand beside the configuration that they are written into.
fn hooks(task: &mut Map<String, Json>) {
    if let Some(config) = task.get_mut("config").and_then(Json::as_object_mut)
        && let Some(hooks) = config.remove("hooks")
    {
        task.insert("hooks".to_owned(), hooks);
    }
    for hook in list(task.get_mut("hooks")) {
        let Some(fields) = hook.as_object_mut() else {
            continue;
        };
        fields.entry("events").or_insert(json!(HOOK_EVENTS));
        fields.entry("timeout").or_insert(json!(HOOK_TIMEOUT));
    }
}

/// Keeps what says something.
fn said(fields: &mut Map<String, Json>) {
    fields.retain(|_, value| match value {
        Json::Null => false,
        Json::String(text) => !text.is_empty(),
        Json::Array(values) => !values.is_empty(),
        Json::Object(fields) => !fields.is_empty(),
        _ => true,
    });
}

/// The same with whole numbers as whole numbers and keys in order.
fn numbers(value: Json) -> Json {
    match value {
        Json::Number(number) => match number.as_f64() {
            #[allow(clippy::cast_possible_truncation, reason = "it is whole and small")]
            Some(float) if float.fract() == 0.0 && float.abs() < 1e15 => json!(float as i64),
            _ => Json::Number(number),
        },
        Json::Array(values) => values.into_iter().map(numbers).collect(),
        Json::Object(fields) => {
            let mut fields: Vec<(String, Json)> = fields
                .into_iter()
                .map(|(name, value)| (name, numbers(value)))
                .collect();
            fields.sort_by(|(one, _), (other, _)| one.cmp(other));
            Json::Object(fields.into_iter().collect())
        }
        other => other,
    }
}

fn list(value: Option<&mut Json>) -> impl Iterator<Item = &mut Json> {
    value.and_then(Json::as_array_mut).into_iter().flatten()
}

fn values(value: Option<&mut Json>) -> impl Iterator<Item = &mut Json> {
    let fields = value.and_then(Json::as_object_mut);
    fields.into_iter().flat_map(Map::values_mut)
}
