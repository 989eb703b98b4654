//! Pods in virtual machines. Kata makes the machine as large as the limits of the pod's containers together: one
//! without limits would have to do with what the machine has anyway.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use skiff_schema::StorageKind;

use crate::facts::RuntimeClassFacts;
use crate::{Amounts, CompileError, Input, labels, quantity};

/// The memory of a sidecar that nobody has bounded: as much as Kata gives to a machine by default.
const SIDECAR_BYTES: u64 = 2 << 30;
/// What any other container gets that asks for nothing.
const OTHER: Amounts = Amounts {
    milli_cpu: 1000,
    bytes: 512 << 20,
};

/// The containers that Skiff makes.
const OWN: [&str; 6] = [
    labels::TASK_CONTAINER,
    labels::DOCKER_CONTAINER,
    labels::BUILDKIT_CONTAINER,
    labels::TOOLS_CONTAINER,
    labels::AGENT_CONTAINER,
    labels::HOME_CONTAINER,
];

/// Whether the pods run in virtual machines of Kata, by the name of the class or of what it stands for.
pub(crate) fn is_kata(input: &Input<'_>) -> bool {
    let Some(class) = input.config.pod_config.runtime_class() else {
        return false;
    };
    let has_kata = |name: &str| name.to_lowercase().contains("kata");
    let handler = match &input.facts.runtime_class {
        RuntimeClassFacts::Found { handler } => has_kata(handler),
        RuntimeClassFacts::Unknown | RuntimeClassFacts::Missing => false,
    };
    handler || has_kata(class)
}

/// The memory that a sidecar gets that nobody has bounded, with what it keeps there.
pub(crate) fn sidecar_bytes(input: &Input<'_>) -> u64 {
    let storage = input.config.docker.storage;
    let kept = storage
        .bytes
        .filter(|_| storage.kind == StorageKind::Memory);
    SIDECAR_BYTES.saturating_add(kept.unwrap_or_default())
}

/// Refuses a runtime class that is not there.
pub(crate) fn check(input: &Input<'_>) -> Result<(), CompileError> {
    match (
        &input.facts.runtime_class,
        input.config.pod_config.runtime_class(),
    ) {
        (RuntimeClassFacts::Missing, Some(name)) => Err(CompileError::NoRuntimeClass {
            name: name.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Gives every container of a pod limits where it is to run in a virtual machine; those who got some that nobody
/// asked for are told.
pub(crate) fn limit(input: &Input<'_>, asked: Amounts, spec: &mut PodSpec) -> Vec<String> {
    if !is_kata(input) {
        return Vec::new();
    }
    let mut notes = Vec::new();
    let is_native = |container: &Container| container.restart_policy.is_some();
    let otherwise = |container: &Container| match container.name.as_str() {
        labels::TASK_CONTAINER => asked,
        labels::DOCKER_CONTAINER | labels::BUILDKIT_CONTAINER => Amounts {
            bytes: sidecar_bytes(input),
            ..asked
        },
        _ => OTHER,
    };
    for container in spec.init_containers.iter_mut().flatten() {
        // What ends before the task starts may have what the task will have.
        let amounts = if is_native(container) {
            otherwise(container)
        } else {
            asked
        };
        limit_one(container, amounts, &mut notes);
    }
    for container in &mut spec.containers {
        let amounts = otherwise(container);
        limit_one(container, amounts, &mut notes);
    }
    notes
}

fn limit_one(container: &mut Container, amounts: Amounts, notes: &mut Vec<String>) {
    let resources = container.resources.get_or_insert_default();
    let defaults = [
        ("cpu", quantity::cpu(amounts.milli_cpu)),
        ("memory", quantity::memory(amounts.bytes)),
    ];
    let mut given = BTreeMap::new();
    for (name, default) in defaults {
        let has_limit = resources
            .limits
            .as_ref()
            .is_some_and(|limits| limits.contains_key(name));
        if !has_limit {
            let requested = requested(resources, name);
            if requested.is_none() {
                given.insert(name, default.0.clone());
            }
            let limits = resources.limits.get_or_insert_default();
            limits.insert(name.to_owned(), requested.unwrap_or(default));
        }
    }
    if !given.is_empty() && !OWN.contains(&container.name.as_str()) {
        let given: Vec<String> = given
            .iter()
            .map(|(name, amount)| format!("{name}: {amount}"))
            .collect();
        notes.push(format!(
            "the container `{}` gets limits ({}), since Kata makes the machine as large as they are: `pod_config` may say others",
            container.name,
            given.join(", ")
        ));
    }
}

/// What a container asks for, unless that is nothing.
fn requested(resources: &ResourceRequirements, name: &str) -> Option<Quantity> {
    let requested = resources.requests.as_ref()?.get(name)?;
    (requested.0 != "0").then(|| requested.clone())
}
