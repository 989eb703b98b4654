//! The parts of Kubernetes' objects that users write.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde::Deserialize;

use crate::faults::Fault;
use crate::grammar::KubernetesType;
use crate::path::Path;
use crate::resources::{LABEL_VALUE, METADATA_KEY, is_own_label};
use crate::view::View;
use crate::words;
use crate::yaml::{Node, Value};

use super::{merge, reserved, typed};

/// What users may write of an object's metadata.
const METADATA: &[&str] = &["labels", "annotations"];

/// A fragment of a pod.
pub(crate) static POD_CONFIG: KubernetesType = KubernetesType {
    name: "PodTemplateSpec",
    check: check_pod_config,
};

/// Labels and annotations.
pub(crate) static CUSTOM_METADATA: KubernetesType = KubernetesType {
    name: "ObjectMeta",
    check: check_custom_metadata,
};

/// The metadata that users may write.
#[derive(Deserialize)]
#[expect(dead_code, reason = "only its fields' names and types are of interest")]
struct Metadata {
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
}

fn check_pod_config(node: &Node, path: &Path<'_>, faults: &mut Vec<Fault>) {
    let pod = View::of(node);
    if let Some(metadata) = pod.get("metadata") {
        check_metadata(metadata, &path.key("metadata"), faults);
    }
    // What was just told is not told again.
    let mut rest = node.clone();
    if let Value::Mapping(entries) = &mut rest.value {
        let is_metadata =
            |key: &Node| matches!(&key.value, Value::String(key) if key == "metadata");
        entries.retain(|entry| !is_metadata(&entry.key));
    }
    typed::check::<PodTemplateSpec>(&rest, path, faults);
    check_items(&rest, path, faults);
    if let Some(spec) = pod.get("spec") {
        reserved::check(spec, &path.key("spec"), faults);
    }
}

/// Finds items of lists that lack what Kubernetes tells them apart by, which the types leave open.
fn check_items(node: &Node, path: &Path<'_>, faults: &mut Vec<Fault>) {
    for entry in View::of(node).entries() {
        let list = entry.key.value.to_python_string();
        let path = path.key(&list);
        let Value::Sequence(items) = &entry.value.value else {
            check_items(&entry.value, &path, faults);
            continue;
        };
        for (index, item) in items.iter().enumerate() {
            let path = path.item(index);
            let required = merge::required_field(&list)
                .filter(|_| matches!(item.value, Value::Mapping(_)))
                .filter(|field| View::of(item).get(field).is_none());
            if let Some(field) = required {
                let fault = Fault::new(format!("`{path}` has no `{field}`")).at(item.span, "");
                let help = format!("Kubernetes tells the items of `{list}` apart by it");
                faults.push(fault.help(help));
            }
            check_items(item, &path, faults);
        }
    }
}

fn check_custom_metadata(node: &Node, path: &Path<'_>, faults: &mut Vec<Fault>) {
    check_metadata(node, path, faults);
}

fn check_metadata(node: &Node, path: &Path<'_>, faults: &mut Vec<Fault>) {
    let mut rest = node.clone();
    if let Value::Mapping(entries) = &mut rest.value {
        entries.retain(|entry| {
            let Value::String(name) = &entry.key.value else {
                return true;
            };
            if !matches!(
                name.as_str(),
                "name" | "namespace" | "generateName" | "ownerReferences"
            ) {
                return true;
            }
            let message = format!("`{}` is for Skiff to choose", path.key(name));
            let help = format!("write {} alone", words::all_of(METADATA));
            faults.push(Fault::new(message).at(entry.key.span, "").help(help));
            false
        });
    }
    typed::check::<Metadata>(&rest, path, faults);
    for field in METADATA {
        for entry in View::of(&rest).view(field).entries() {
            let Value::String(name) = &entry.key.value else {
                continue;
            };
            if is_own_label(name) {
                let message = format!("`{}`: `{name}` is Skiff's own", path.key(field));
                let help =
                    "Skiff finds its objects by the names under `skiff.dev/`: choose another";
                faults.push(Fault::new(message).at(entry.key.span, "").help(help));
            }
            if let Err(problem) = (METADATA_KEY.check)(name) {
                faults.push(problem.of(path.key(field)).at(entry.key.span, ""));
            }
            if let (&"labels", Value::String(value)) = (field, &entry.value.value)
                && let Err(problem) = (LABEL_VALUE.check)(value)
            {
                faults.push(problem.of(path.key(field)).at(entry.value.span, ""));
            }
        }
    }
}
