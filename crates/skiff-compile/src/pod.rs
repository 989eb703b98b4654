//! The pods of a cluster: one template for all, then what tells them apart.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, Container, EmptyDirVolumeSource, EnvVar, KeyToPath, LocalObjectReference, Pod,
    PodAffinityTerm, PodAntiAffinity, PodSpec, PodTemplateSpec, ProjectedVolumeSource,
    ResourceRequirements, SecretProjection, Volume, VolumeMount, VolumeProjection,
    WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::{Deserialize, Serialize};
use skiff_proto::paths;

use crate::container::{self, KEYS_VOLUME, PARTS_VOLUME, SHARED_VOLUME};
use crate::{
    Amounts, ClusterName, CompileError, Input, docker, home, hooks, labels, metadata, node_choice,
};
use crate::{quantity, reserved, sandbox};

/// Name of the volume behind `/dev/shm`.
const SHM_VOLUME: &str = "dshm";
/// Seconds that the agent has to end its jobs when the pod is deleted, beyond those for hooks.
pub(crate) const GRACE_SECONDS: i64 = 30;
/// Mode of the agent's parts and of the key.
const READ_ONLY: i32 = 0o444;
/// How much it counts that the pods of a cluster are on nodes of their own: as much as a preference can.
const APART: i32 = 100;

/// What is decided of the pods before they are built.
pub(crate) struct Decisions {
    /// What each asks for.
    pub(crate) amounts: Amounts,
    /// The image of the task container.
    pub(crate) image: String,
    /// A Secret with which its images are pulled.
    pub(crate) pull_secret: Option<String>,
}

/// What the pods of a cluster have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Template {
    metadata: ObjectMeta,
    spec: PodSpec,
}

impl Template {
    /// Builds the pod, lays the user's `pod_config` over it, and makes sure that it still is one; notes what may go
    /// wrong.
    pub(crate) fn new(
        input: &Input<'_>,
        cluster: &ClusterName,
        decisions: Decisions,
        notes: &mut Vec<String>,
    ) -> Result<Self, CompileError> {
        let own = spec(input, cluster, &decisions);
        let changed = configured(input, &own)?;
        let mut spec = changed.spec.unwrap_or_default();
        reserved::check(&own, &spec)?;
        notes.extend(docker::check_pod(input, &spec)?);
        home::follow_task(&mut spec);
        docker::settle(input, &mut spec);
        notes.extend(sandbox::limit(input, decisions.amounts, &mut spec));
        node_choice::narrow(input, &mut spec)?;
        // Task pods do not talk to the API server, but for those that were given an identity.
        let has_identity = spec.service_account_name.is_some();
        spec.automount_service_account_token
            .get_or_insert(has_identity);
        if let Some(name) = decisions.pull_secret {
            let pull = spec.image_pull_secrets.get_or_insert_default();
            pull.push(LocalObjectReference { name });
        }
        docker::lend_logins(input, &mut spec);
        let mut metadata = metadata::of_pods(input, cluster, changed.metadata.unwrap_or_default());
        let annotations = metadata.annotations.get_or_insert_default();
        if let Some((key, value)) = docker::annotation(input) {
            annotations.entry(key).or_insert(value);
        }
        annotations.insert(labels::SPEC_HASH.to_owned(), crate::hash(&spec));
        Ok(Self { metadata, spec })
    }

    /// The metadata of every pod.
    pub(crate) fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }

    /// The hash of what the pods are made from.
    pub(crate) fn spec_hash(&self) -> &str {
        let annotations = self.metadata.annotations.as_ref();
        annotations
            .and_then(|all| all.get(labels::SPEC_HASH))
            .map_or("", String::as_str)
    }

    /// The image of the task container.
    pub(crate) fn image(&self) -> String {
        let task = self.spec.containers.iter();
        let mut task = task.filter(|container| container.name == labels::TASK_CONTAINER);
        task.next()
            .and_then(|task| task.image.clone())
            .unwrap_or_default()
    }

    /// The pod of a rank.
    pub(crate) fn pod(&self, cluster: &ClusterName, rank: u32) -> Pod {
        let mut metadata = self.metadata.clone();
        metadata.name = Some(cluster.pod(rank));
        metadata
            .labels
            .get_or_insert_default()
            .extend(metadata::rank_labels(rank));
        let mut spec = self.spec.clone();
        home::name_claim(cluster, rank, &mut spec);
        docker::name_claim(cluster, rank, &mut spec);
        Pod {
            metadata,
            spec: Some(spec),
            ..Pod::default()
        }
    }
}

/// The pod with the user's changes.
fn configured(input: &Input<'_>, own: &PodSpec) -> Result<PodTemplateSpec, CompileError> {
    let template = PodTemplateSpec {
        metadata: None,
        spec: Some(own.clone()),
    };
    if input.config.pod_config.is_empty() {
        return Ok(template);
    }
    let pod = serde_json::to_value(template).expect("a pod is always valid JSON");
    let pod = input.config.pod_config.apply(pod);
    serde_json::from_value(pod).map_err(|error| CompileError::NoPod {
        why: error.to_string(),
    })
}

fn spec(input: &Input<'_>, cluster: &ClusterName, decisions: &Decisions) -> PodSpec {
    let mut spec = PodSpec {
        affinity: (input.task.num_nodes > 1).then(|| apart(cluster)),
        containers: vec![task_container(input, decisions)],
        init_containers: input.config.agent_image.as_deref().map(|image| {
            let (name, task) = (labels::AGENT_CONTAINER, labels::TASK_CONTAINER);
            vec![container::assembling_container(input, name, image, task)]
        }),
        // The agent ends with 0 when the cluster is down; after a crash it comes back.
        restart_policy: Some("OnFailure".to_owned()),
        service_account_name: input.config.service_account.clone(),
        termination_grace_period_seconds: Some(
            GRACE_SECONDS + hooks::preemption_seconds(input.task),
        ),
        volumes: Some(volumes(input, cluster, decisions.amounts)),
        ..PodSpec::default()
    };
    docker::add(input, &mut spec);
    home::add(input, &mut spec);
    spec
}

/// Several pods share a node only where there is no other.
fn apart(cluster: &ClusterName) -> Affinity {
    let own = (labels::CLUSTER.to_owned(), cluster.to_string());
    let selector = LabelSelector {
        match_labels: Some(BTreeMap::from([own])),
        ..LabelSelector::default()
    };
    let preferred = WeightedPodAffinityTerm {
        weight: APART,
        pod_affinity_term: PodAffinityTerm {
            label_selector: Some(selector),
            topology_key: "kubernetes.io/hostname".to_owned(),
            ..PodAffinityTerm::default()
        },
    };
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![preferred]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}

fn task_container(input: &Input<'_>, decisions: &Decisions) -> Container {
    let (name, image) = (labels::TASK_CONTAINER, &decisions.image);
    let amounts = decisions.amounts;
    let mut container = match input.config.agent_image {
        Some(_) => container::ready_container(input, name, image, &["run"]),
        None => container::agent_container(input, name, image, &["run"]),
    };
    container.env = Some(variables(input, amounts));
    container.resources = Some(resources(input, amounts));
    container.volume_mounts.get_or_insert_default().extend([
        VolumeMount {
            read_only: Some(true),
            ..container::mount(KEYS_VOLUME, paths::KEYS)
        },
        container::mount(SHM_VOLUME, "/dev/shm"),
    ]);
    container
}

/// What the task asks for, and what it may have at most where the configuration bounds it.
fn resources(input: &Input<'_>, amounts: Amounts) -> ResourceRequirements {
    let disk = input.resources.disk_bytes;
    let named = |amounts: Amounts, disk: Option<u64>| {
        let mut named = BTreeMap::from([
            ("cpu", quantity::cpu(amounts.milli_cpu)),
            ("memory", quantity::memory(amounts.bytes)),
        ]);
        if let Some(bytes) = disk {
            named.insert("ephemeral-storage", quantity::memory(bytes));
        }
        named
    };
    let mut resources = container::requests(named(amounts, disk));
    if let Some(milli) = input.config.limits_milli {
        let times = |amount: u64| {
            let product = u128::from(amount) * u128::from(milli) / 1000;
            u64::try_from(product).unwrap_or(u64::MAX)
        };
        // A limit equal to the request makes the pod `Guaranteed`; a wider one is a multiple of what was
        // asked for, whatever the pod requests on a node that it fills.
        let base = match milli {
            1000 => amounts,
            _ => Amounts {
                milli_cpu: input.resources.milli_cpu,
                bytes: input.resources.memory_bytes,
            },
        };
        let limits = Amounts {
            milli_cpu: times(base.milli_cpu),
            bytes: times(base.bytes),
        };
        resources.limits = Some(container::named(named(limits, disk.map(times))));
    }
    resources
}

fn variables(input: &Input<'_>, amounts: Amounts) -> Vec<EnvVar> {
    // What a pod's rank decides comes from its labels: so all pods are made to one specification.
    let label = |key: &str| format!("metadata.labels['{key}']");
    let gpus = input.resources.accelerators.as_ref();
    let gpus = gpus.map_or(0, |gpus| gpus.milli_count.div_ceil(1000));
    vec![
        container::variable("SKIFF_CLUSTER", &input.ids.cluster),
        container::variable("SKIFF_NODES", &input.task.num_nodes.to_string()),
        container::field_variable("SKIFF_RANK", &label(labels::RANK)),
        container::variable("SKIFF_CPUS", &quantity::cpus_text(amounts.milli_cpu)),
        container::variable("SKIFF_GPUS", &gpus.to_string()),
        container::field_variable("SKIFF_POD_NAME", "metadata.name"),
        container::field_variable("SKIFF_POD_IP", "status.podIP"),
        container::variable("SKYPILOT_IN_CLUSTER_CONTEXT_NAME", &input.ids.context),
        container::field_variable("SKYPILOT_POD_NAME", "metadata.name"),
        container::field_variable("SKYPILOT_POD_UID", "metadata.uid"),
        container::field_variable("SKYPILOT_POD_NODE_TYPE", &label(labels::NODE_TYPE)),
        container::field_variable("SKYPILOT_RAY_NODE_IP", "status.podIP"),
        container::resource_variable("SKYPILOT_POD_CPU_CORE_LIMIT", "limits.cpu"),
        container::resource_variable("SKYPILOT_POD_MEMORY_BYTES_LIMIT", "limits.memory"),
        // The NVIDIA runtime would give every GPU of the node to a container that asks for none.
        container::variable("NVIDIA_VISIBLE_DEVICES", "none"),
    ]
}

fn volumes(input: &Input<'_>, cluster: &ClusterName, amounts: Amounts) -> Vec<Volume> {
    let parts = input
        .agent
        .secret_names()
        .into_iter()
        .map(|name| SecretProjection {
            name,
            ..SecretProjection::default()
        });
    let key = SecretProjection {
        name: cluster.to_string(),
        items: Some(vec![KeyToPath {
            key: labels::CLUSTER_KEY.to_owned(),
            path: labels::CLUSTER_KEY.to_owned(),
            ..KeyToPath::default()
        }]),
        ..SecretProjection::default()
    };
    // Where there are none, a later launch may bring some.
    let hooks = SecretProjection {
        name: cluster.to_string(),
        items: Some(vec![KeyToPath {
            key: labels::HOOKS_KEY.to_owned(),
            path: labels::HOOKS_KEY.to_owned(),
            ..KeyToPath::default()
        }]),
        optional: Some(true),
    };
    vec![
        empty_dir(SHARED_VOLUME, EmptyDirVolumeSource::default()),
        projected(PARTS_VOLUME, parts),
        projected(KEYS_VOLUME, [key, hooks]),
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

/// A volume with what some Secrets hold, which nobody changes and every user of an image may read.
pub(crate) fn projected(name: &str, secrets: impl IntoIterator<Item = SecretProjection>) -> Volume {
    let sources = secrets.into_iter().map(|secret| VolumeProjection {
        secret: Some(secret),
        ..VolumeProjection::default()
    });
    Volume {
        name: name.to_owned(),
        projected: Some(ProjectedVolumeSource {
            default_mode: Some(READ_ONLY),
            sources: Some(sources.collect()),
            ..ProjectedVolumeSource::default()
        }),
        ..Volume::default()
    }
}

pub(crate) fn empty_dir(name: &str, source: EmptyDirVolumeSource) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(source),
        ..Volume::default()
    }
}
