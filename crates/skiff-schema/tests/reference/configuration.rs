//! What the `kubernetes` section of the configuration says for a task, in one form for both
//! programs.

use std::time::Duration;

use serde_json::{Map, Value as Json, json};
use skiff_schema::{
    Config, ConfigLayer, DockerMode, Faults, KubernetesConfig, Origin, ProvisionTimeout,
    ResolvedTask,
};

use crate::case::Case;

/// The keys that Skiff acts on.
const ACTING: [&str; 8] = [
    "namespace",
    "provision_timeout",
    "enable_docker",
    "set_pod_resource_limits",
    "remote_identity",
    "custom_metadata",
    "allowed_nodes",
    "pod_config",
];

/// The layers of a case: the user's file, the project's, and the flags `--config`.
pub(crate) fn layers(case: &Case, flags: &[String]) -> Result<Config, Faults> {
    let mut layers = Vec::new();
    for name in ["config.yaml", "project.yaml"] {
        if let Some(text) = case.file(name) {
            layers.push(ConfigLayer::read(name, text)?);
        }
    }
    for flag in flags {
        layers.push(match case.file(flag) {
            Some(text) => ConfigLayer::read(flag, text)?.as_flag(),
            None => ConfigLayer::from_flag(flag)?,
        });
    }
    Ok(Config::merge(layers))
}

/// What holds for a task.
pub(crate) fn for_task(config: &Config, task: &ResolvedTask) -> Json {
    let section = config.for_task(task.context(), &task.config);
    let mut json = acting(&section);
    if task.config.to_json().is_null() {
        let entries = config.entries(task.context()).into_iter();
        for entry in entries.filter(|entry| entry.origin != Origin::Default) {
            let Some(path) = entry.path.strip_prefix("kubernetes.") else {
                continue;
            };
            let key = path.split(['.', '[']).next().unwrap_or(path);
            if key != "context_configs" && !ACTING.contains(&key) {
                flatten(path, &entry.value, &mut json);
            }
        }
    }
    Json::Object(json)
}

/// The same of what `SkyPilot` says.
pub(crate) fn recorded(task: &mut Map<String, Json>) -> Json {
    let has_own = task.contains_key("config") || task.contains_key("hooks");
    let mut section = task.remove("kubernetes").unwrap_or(json!({}));
    let mut json = Map::new();
    for (key, value) in section.as_object_mut().into_iter().flatten() {
        let value = value.take();
        if !ACTING.contains(&key.as_str()) {
            if !has_own {
                flatten(key, &value, &mut json);
            }
            continue;
        }
        let value = match key.as_str() {
            "enable_docker" => docker(value),
            "set_pod_resource_limits" => limits(&value),
            "pod_config" => pod(value),
            "remote_identity" if value.as_str().is_some_and(is_keyword) => Json::Null,
            _ => value,
        };
        if !value.is_null() {
            json.insert(key.clone(), value);
        }
    }
    Json::Object(json)
}

fn acting(section: &KubernetesConfig) -> Map<String, Json> {
    let mut json = Map::new();
    let mut put = |key: &str, value: Json| json.insert(key.to_owned(), value);
    if let Some(namespace) = &section.namespace {
        put("namespace", json!(namespace));
    }
    match section.provision_timeout {
        Some(ProvisionTimeout::Forever) => drop(put("provision_timeout", json!(-1))),
        Some(ProvisionTimeout::After(time)) => drop(put("provision_timeout", seconds(time))),
        None => {}
    }
    let mode = match section.docker.mode {
        DockerMode::Off => None,
        DockerMode::All => Some("ALL"),
        DockerMode::Build => Some("BUILD"),
    };
    if let Some(mode) = mode {
        let mut docker = json!({ "mode": mode });
        if let Some(volume) = &section.docker.cache_volume {
            docker["cache_volume"] = json!(volume);
        }
        put("enable_docker", docker);
    }
    if let Some(limits) = section.limits_milli {
        put("set_pod_resource_limits", json!(limits));
    }
    if let Some(account) = &section.service_account {
        put("remote_identity", json!(account));
    }
    let mut metadata = Map::new();
    let ours = &section.custom_metadata;
    for (key, texts) in [("labels", &ours.labels), ("annotations", &ours.annotations)] {
        if !texts.is_empty() {
            metadata.insert(key.to_owned(), json!(texts));
        }
    }
    if !metadata.is_empty() {
        put("custom_metadata", Json::Object(metadata));
    }
    if let Some(nodes) = &section.allowed_nodes {
        let mut json = json!({});
        json["label_selector"] = json!(nodes.label_selector);
        json["names"] = json!(nodes.names);
        json["ips"] = json!(nodes.ips);
        put("allowed_nodes", json);
    }
    if !section.pod_config.is_empty() {
        let bare = json!({
            "metadata": {},
            "spec": { "containers": [{ "name": "task", "image": "any" }] },
        });
        put("pod_config", pod(section.pod_config.apply(bare)));
    }
    json
}

/// The words for the account that `SkyPilot` makes; Skiff's pods have none but what they are given.
fn is_keyword(account: &str) -> bool {
    ["SERVICE_ACCOUNT", "LOCAL_CREDENTIALS", "NO_UPLOAD"].contains(&account)
}

fn seconds(time: Duration) -> Json {
    json!(time.as_secs())
}

fn docker(value: Json) -> Json {
    match value {
        Json::Bool(true) => json!({ "mode": "ALL" }),
        Json::Bool(false) => Json::Null,
        Json::String(mode) => json!({ "mode": mode.to_uppercase() }),
        other => other,
    }
}

/// Thousandths of what is requested.
fn limits(value: &Json) -> Json {
    match value {
        Json::Bool(true) => json!(1000),
        Json::Bool(false) => Json::Null,
        factor => json!(factor.as_f64().unwrap_or_default() * 1000.0),
    }
}

/// A pod whose first container is the task's, by whichever name.
fn pod(mut pod: Json) -> Json {
    if let Some(name) = pod.pointer_mut("/spec/containers/0/name") {
        *name = json!("task");
    }
    if let Some(spec) = pod.get_mut("spec").and_then(Json::as_object_mut) {
        spec.retain(|key, value| match key.as_str() {
            "runtimeClassName" => *value != json!(""),
            _ => !value.is_null(),
        });
    }
    pod
}

/// A tree as its leaves, by path.
fn flatten(path: &str, value: &Json, leaves: &mut Map<String, Json>) {
    match value {
        Json::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                flatten(&format!("{path}.{key}"), value, leaves);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                flatten(&format!("{path}[{index}]"), item, leaves);
            }
        }
        leaf => drop(leaves.insert(path.to_owned(), leaf.clone())),
    }
}
