//! What users change of the pods: fragments of a Kubernetes pod, merged as Kubernetes merges.

mod json;
mod kinds;
pub(crate) mod merge;
mod quantity;
mod reserved;
mod typed;

use serde_json::Value as Json;

use crate::view::View;
use crate::yaml::{Node, Value};

pub(crate) use self::kinds::{CUSTOM_METADATA, POD_CONFIG};
use self::merge::{RAY_NODE, TASK, merge};

/// The sidecars that a pod may have in either list: each as Skiff calls it, and as `SkyPilot` does.
const SIDECARS: [&[&str]; 2] = [&["docker", "dind"], &["buildkit"]];

/// A fragment of a pod: `metadata` and `spec`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodConfig {
    fragment: Option<Node>,
}

impl PodConfig {
    /// A fragment that has been checked, its layers merged.
    pub(crate) fn new(fragment: Node) -> Self {
        Self {
            fragment: Some(fragment).filter(|fragment| fragment.value != Value::Null),
        }
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.fragment.is_none()
    }

    /// The fragment as JSON; None where it changes nothing.
    pub fn to_json(&self) -> Option<Json> {
        self.fragment.as_ref().map(json::of)
    }

    /// The runtime class that the pods are to have; None: that of the nodes.
    pub fn runtime_class(&self) -> Option<&str> {
        let spec = View::of(self.fragment.as_ref()?).view("spec");
        spec.text("runtimeClassName")
            .filter(|name| !name.is_empty())
    }

    /// The same with this runtime class.
    #[must_use]
    pub fn with_runtime_class(&self, name: &str) -> Self {
        let own = json::node(serde_json::json!({ "spec": { "runtimeClassName": name } }));
        let fragment = match &self.fragment {
            Some(fragment) => merge(fragment.clone(), own),
            None => own,
        };
        Self::new(fragment)
    }

    /// Lays the fragment over a pod, which has `metadata` and `spec`. A container without a name,
    /// or called `ray-node`, is the pod's `task`; `docker`, or `dind`, is its daemon, and `buildkit` its
    /// builder, wherever the pod has it; `runtimeClassName: ''` is no class.
    pub fn apply(&self, pod: Json) -> Json {
        let Some(fragment) = &self.fragment else {
            return pod;
        };
        let mut fragment = fragment.clone();
        if let Some(spec) = field_mut(&mut fragment, "spec") {
            aim(spec, &pod["spec"]);
        }
        let mut pod = json::of(&merge(json::node(pod), fragment));
        if let Some(spec) = pod.get_mut("spec").and_then(Json::as_object_mut)
            && spec.get("runtimeClassName") == Some(&Json::String(String::new()))
        {
            spec.remove("runtimeClassName");
        }
        pod
    }
}

/// Gives the containers of a fragment the names and the places that they have in the pod.
fn aim(spec: &mut Node, pod_spec: &Json) {
    for container in items_mut(spec, "containers") {
        if name(container).is_none_or(|name| name == RAY_NODE) {
            rename(container, TASK);
        }
    }
    let lists = ["containers", "initContainers"];
    for names in SIDECARS {
        let has_it = |list: &&str| has_container(&pod_spec[*list], names[0]);
        let Some(list) = lists.into_iter().find(has_it) else {
            continue;
        };
        let mut meant = Vec::new();
        for list in lists {
            meant.extend(take(spec, list, names));
        }
        append(spec, list, meant);
    }
}

/// Takes the containers with one of these names out of a list; they have the first name then.
fn take(spec: &mut Node, list: &str, names: &[&str]) -> Vec<Node> {
    let is_meant = |item: &mut Node| name(item).is_some_and(|name| names.contains(&name));
    let Some(present) = field_mut(spec, list) else {
        return Vec::new();
    };
    let Value::Sequence(items) = &mut present.value else {
        return Vec::new();
    };
    let mut meant: Vec<Node> = items.extract_if(.., is_meant).collect();
    // An empty list would be one more in the pod; an empty one of the user's own stays.
    if items.is_empty() && !meant.is_empty() {
        remove(spec, list);
    }
    for container in &mut meant {
        rename(container, names[0]);
    }
    meant
}

fn remove(spec: &mut Node, list: &str) {
    if let Value::Mapping(entries) = &mut spec.value {
        entries.retain(|entry| !matches!(&entry.key.value, Value::String(key) if key == list));
    }
}

fn has_container(containers: &Json, name: &str) -> bool {
    let mut containers = containers.as_array().into_iter().flatten();
    containers.any(|container| container["name"] == name)
}

fn field_mut<'a>(node: &'a mut Node, name: &str) -> Option<&'a mut Node> {
    let Value::Mapping(entries) = &mut node.value else {
        return None;
    };
    let is_named = |key: &Node| matches!(&key.value, Value::String(key) if key == name);
    let entry = entries.iter_mut().find(|entry| is_named(&entry.key))?;
    Some(&mut entry.value)
}

fn items_mut<'a>(node: &'a mut Node, list: &str) -> &'a mut [Node] {
    match field_mut(node, list).map(|list| &mut list.value) {
        Some(Value::Sequence(items)) => items,
        _ => &mut [],
    }
}

fn name(container: &Node) -> Option<&str> {
    View::of(container).text("name")
}

fn rename(container: &mut Node, to: &str) {
    let value = Value::String(to.to_owned());
    if let Some(name) = field_mut(container, "name") {
        name.value = value;
    } else if let Value::Mapping(entries) = &mut container.value {
        entries.insert(0, json::entry("name", json::plain(value)));
    }
}

/// Appends to a list, which may not be written.
fn append(spec: &mut Node, list: &str, items: Vec<Node>) {
    if items.is_empty() {
        return;
    }
    if let Some(present) = field_mut(spec, list) {
        match &mut present.value {
            Value::Sequence(present) => present.extend(items),
            other => *other = Value::Sequence(items),
        }
    } else if let Value::Mapping(entries) = &mut spec.value {
        let items = json::plain(Value::Sequence(items));
        entries.push(json::entry(list, items));
    }
}

#[cfg(test)]
mod tests;
