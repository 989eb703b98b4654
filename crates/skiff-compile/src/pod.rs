//! The pod of one rank.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, Container, EmptyDirVolumeSource, EnvVar, NodeAffinity, NodeSelector,
    NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, ProjectedVolumeSource,
    SecretProjection, Volume, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::container::{self, PARTS_VOLUME, SHARED_VOLUME};
use crate::{Amounts, ClusterName, Input, docker, labels, metadata, quantity};

/// Name of the volume behind `/dev/shm`.
const SHM_VOLUME: &str = "dshm";
/// Seconds that the agent has to end its jobs when the pod is deleted.
pub(crate) const GRACE_SECONDS: i64 = 30;
/// Mode of the agent's parts: nobody changes them.
const READ_ONLY: i32 = 0o444;

pub(crate) fn pod(input: &Input<'_>, cluster: &ClusterName, rank: u32, amounts: Amounts) -> Pod {
    let mut spec = PodSpec {
        affinity: Some(affinity(&input.agent.architectures)),
        // Task pods never talk to the API server.
        automount_service_account_token: Some(false),
        containers: vec![task_container(input, amounts)],
        // The agent ends with 0 when the cluster is down; after a crash it comes back.
        restart_policy: Some("OnFailure".to_owned()),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        volumes: Some(volumes(input, amounts)),
        ..PodSpec::default()
    };
    docker::add(input, &mut spec);
    let annotations = [
        (
            "kubectl.kubernetes.io/default-container",
            labels::TASK_CONTAINER.to_owned(),
        ),
        (labels::DISPLAY_NAME, input.ids.cluster.clone()),
        (labels::SPEC_HASH, spec_hash(&spec)),
    ];
    Pod {
        metadata: ObjectMeta {
            name: Some(cluster.pod(rank)),
            namespace: Some(input.ids.namespace.clone()),
            labels: Some(metadata::pod_labels(input, cluster, rank)),
            annotations: Some(BTreeMap::from(
                annotations.map(|(key, value)| (key.to_owned(), value)),
            )),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        ..Pod::default()
    }
}

fn task_container(input: &Input<'_>, amounts: Amounts) -> Container {
    let mut container =
        container::agent_container(input, labels::TASK_CONTAINER, input.image(), &["run"]);
    container.env = Some(variables(input, amounts));
    container.resources = Some(container::requests([
        ("cpu", quantity::cpu(amounts.milli_cpu)),
        ("memory", quantity::memory(amounts.bytes)),
    ]));
    container
        .volume_mounts
        .get_or_insert_default()
        .push(container::mount(SHM_VOLUME, "/dev/shm"));
    container
}

fn variables(input: &Input<'_>, amounts: Amounts) -> Vec<EnvVar> {
    vec![
        container::variable("SKIFF_CLUSTER", &input.ids.cluster),
        container::variable("SKIFF_CPUS", &quantity::cpus_text(amounts.milli_cpu)),
        container::field_variable("SKIFF_POD_IP", "status.podIP"),
        container::resource_variable("SKYPILOT_POD_CPU_CORE_LIMIT", "limits.cpu"),
        container::resource_variable("SKYPILOT_POD_MEMORY_BYTES_LIMIT", "limits.memory"),
        // The NVIDIA runtime would give every GPU of the node to a container that asks for none.
        container::variable("NVIDIA_VISIBLE_DEVICES", "none"),
    ]
}

fn volumes(input: &Input<'_>, amounts: Amounts) -> Vec<Volume> {
    let parts = input
        .agent
        .secret_names()
        .into_iter()
        .map(|name| VolumeProjection {
            secret: Some(SecretProjection {
                name,
                ..SecretProjection::default()
            }),
            ..VolumeProjection::default()
        });
    vec![
        empty_dir(SHARED_VOLUME, EmptyDirVolumeSource::default()),
        Volume {
            name: PARTS_VOLUME.to_owned(),
            projected: Some(ProjectedVolumeSource {
                default_mode: Some(READ_ONLY),
                sources: Some(parts.collect()),
                ..ProjectedVolumeSource::default()
            }),
            ..Volume::default()
        },
        // What lies there counts as the container's memory: more than was asked for makes no sense.
        empty_dir(
            SHM_VOLUME,
            EmptyDirVolumeSource {
                medium: Some("Memory".to_owned()),
                size_limit: Some(quantity::memory(amounts.bytes)),
                ..EmptyDirVolumeSource::default()
            },
        ),
    ]
}

pub(crate) fn empty_dir(name: &str, source: EmptyDirVolumeSource) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(source),
        ..Volume::default()
    }
}

/// Only nodes that can run the agent.
fn affinity(architectures: &[String]) -> Affinity {
    let is_in = |key: &str, values: Vec<String>| NodeSelectorRequirement {
        key: key.to_owned(),
        operator: "In".to_owned(),
        values: Some(values),
    };
    let term = NodeSelectorTerm {
        match_expressions: Some(vec![
            is_in("kubernetes.io/os", vec!["linux".to_owned()]),
            is_in("kubernetes.io/arch", architectures.to_vec()),
        ]),
        ..NodeSelectorTerm::default()
    };
    Affinity {
        node_affinity: Some(NodeAffinity {
            required_during_scheduling_ignored_during_execution: Some(NodeSelector {
                node_selector_terms: vec![term],
            }),
            ..NodeAffinity::default()
        }),
        ..Affinity::default()
    }
}

fn spec_hash(spec: &PodSpec) -> String {
    let json = serde_json::to_vec(spec).expect("a pod spec is always valid JSON");
    blake3::hash(&json).to_hex()[..16].to_owned()
}
