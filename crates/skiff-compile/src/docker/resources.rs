//! What a sidecar asks for, and what it may have at most.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use skiff_schema::{DockerAmounts, DockerMode, StorageKind};

use crate::{Amounts, Input, quantity, sandbox};

/// What the scheduler keeps for the sidecar beside a task that asks for so much.
pub(crate) fn requested(input: &Input<'_>) -> Amounts {
    if input.config.docker.mode == DockerMode::Off {
        return Amounts::default();
    }
    let written = input.config.docker.resources;
    // A limit without a request is a request too.
    let memory = written
        .requests
        .memory_bytes
        .or(written.limits.memory_bytes);
    let in_machine = sandbox::is_kata(input).then(|| sandbox::sidecar_bytes(input));
    Amounts {
        milli_cpu: written
            .requests
            .milli_cpu
            .or(written.limits.milli_cpu)
            .unwrap_or_default(),
        bytes: memory.or(in_machine).unwrap_or_default(),
    }
}

/// What is written, and the disk that the data may take of the node.
pub(super) fn resources(input: &Input<'_>) -> ResourceRequirements {
    let written = input.config.docker.resources;
    let mut requests = named(written.requests);
    let limits = named(written.limits);
    // Written out: a namespace's LimitRange fills in its default where nothing is written, and a
    // task that just fits a node would no longer fit with Docker.
    if !limits.contains_key("cpu") {
        requests
            .entry("cpu".to_owned())
            .or_insert_with(|| quantity::cpu(0));
    }
    if let Some(bytes) = disk_of_data(input)
        && !limits.contains_key("ephemeral-storage")
    {
        requests
            .entry("ephemeral-storage".to_owned())
            .or_insert_with(|| quantity::memory(bytes));
    }
    ResourceRequirements {
        limits: Some(limits).filter(|limits| !limits.is_empty()),
        requests: Some(requests).filter(|requests| !requests.is_empty()),
        ..ResourceRequirements::default()
    }
}

/// What the data takes of the node's own disk, where its size is written.
fn disk_of_data(input: &Input<'_>) -> Option<u64> {
    let config = &input.config.docker;
    let is_on_node = matches!(config.storage.kind, StorageKind::Auto | StorageKind::Loop);
    config
        .storage
        .bytes
        .filter(|_| is_on_node && config.cache_volume.is_none())
}

fn named(amounts: DockerAmounts) -> BTreeMap<String, Quantity> {
    let amounts = [
        ("cpu", amounts.milli_cpu.map(quantity::cpu)),
        ("memory", amounts.memory_bytes.map(quantity::memory)),
        (
            "ephemeral-storage",
            amounts.disk_bytes.map(quantity::memory),
        ),
    ];
    let written = amounts.into_iter();
    written
        .filter_map(|(name, amount)| Some((name.to_owned(), amount?)))
        .collect()
}
