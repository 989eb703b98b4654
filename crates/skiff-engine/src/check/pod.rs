//! The pod that a launch would make: whether the cluster takes it, and whether a node can hold it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Node, Pod, PodSpec};
use k8s_openapi::api::node::v1::RuntimeClass;
use skiff_compile::{ClusterFacts, CompileError, labels};
use skiff_kube::{ApiCause, ApiError, Cluster, quantity_thousandths};
use skiff_schema::DockerMode;
use thiserror::Error;

use super::{Finding, Verdict, Way, told};
use crate::LaunchRequest;
use crate::launch::plan;
use crate::launchable::{NotLaunchable, launchable};

/// Stands for the owner Secret that a dry run does not make.
const NO_OWNER: &str = "00000000-0000-0000-0000-000000000000";

/// The pod of a way.
pub(super) struct Shape {
    pod: Pod,
    architectures: Vec<String>,
}

/// Why there is none.
#[derive(Debug, Error)]
pub(super) enum NoShape {
    #[error(transparent)]
    NotLaunchable(#[from] NotLaunchable),
    #[error(transparent)]
    Compile(#[from] CompileError),
}

impl NoShape {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotLaunchable(error) => error.hint(),
            Self::Compile(error) => error.hint(),
        }
    }
}

impl Shape {
    /// What a launch that goes this way would make.
    pub(super) fn compile(
        cluster: &Cluster,
        request: &LaunchRequest,
        facts: &ClusterFacts,
        way: &Way,
    ) -> Result<Self, NoShape> {
        let config = way.configuration(&request.config);
        launchable(&request.task)?;
        let plan = plan(cluster, request, &config, facts)?;
        let agents = request.agents.iter();
        Ok(Self {
            pod: plan.nodes.pods(NO_OWNER).next().unwrap_or_default(),
            architectures: agents.map(|agent| agent.architecture.to_owned()).collect(),
        })
    }
}

/// Checks the pod of a way.
pub(super) async fn check(
    cluster: &Cluster,
    shape: Result<Shape, NoShape>,
    nodes: &Result<Vec<Node>, ApiError>,
    runtimes: &Result<Vec<RuntimeClass>, ApiError>,
    way: &Way,
) -> Vec<Finding> {
    let shape = match shape {
        Ok(shape) => shape,
        Err(error) => {
            let finding = Finding::new("task", Verdict::No, told(&error)).of(way);
            return vec![finding.maybe_fix(error.hint())];
        }
    };
    let spec = shape.pod.spec.clone().unwrap_or_default();
    let tried = cluster.try_create(&shape.pod).await;
    let mut findings = vec![
        sidecar(&shape.pod, way.mode),
        admission(tried.err().as_ref()),
        room(&spec, &shape.architectures, nodes),
    ];
    findings.extend(runtime(&spec, runtimes));
    let findings = findings.into_iter();
    findings.map(|finding| finding.of(way)).collect()
}

/// How the pod carries the sidecar on this version.
fn sidecar(pod: &Pod, mode: DockerMode) -> Finding {
    let spec = pod.spec.clone().unwrap_or_default();
    let init = spec.init_containers.unwrap_or_default();
    let is_sidecar = |container: &&Container| {
        [labels::DOCKER_CONTAINER, labels::BUILDKIT_CONTAINER].contains(&container.name.as_str())
    };
    if !spec
        .containers
        .iter()
        .chain(&init)
        .any(|it| is_sidecar(&it))
    {
        return Finding::new("sidecar", Verdict::Ok, "none: the task's image builds");
    }
    let is_native = init
        .iter()
        .filter(is_sidecar)
        .any(|container| container.restart_policy.as_deref() == Some("Always"));
    let mut parts = vec![if is_native {
        "a native sidecar, which starts before the task and ends after it"
    } else {
        "a container beside the task, which Skiff starts first and ends last (native sidecars from Kubernetes 1.29)"
    }];
    if mode == DockerMode::Build {
        let annotations = pod.metadata.annotations.iter().flatten();
        let by_annotation = annotations
            .into_iter()
            .any(|(key, _)| key.starts_with("container.apparmor.security.beta"));
        parts.push(if by_annotation {
            "AppArmor by annotation (the field from 1.30)"
        } else {
            "AppArmor by the field"
        });
        if spec.host_users == Some(false) {
            parts.push("a user namespace of its own");
        }
    }
    Finding::new("sidecar", Verdict::Ok, parts.join("; "))
}

/// What the API server said to the pod.
fn admission(refusal: Option<&ApiError>) -> Finding {
    let finding = |verdict, reason: String| Finding::new("pod", verdict, reason);
    let Some(error) = refusal else {
        return finding(
            Verdict::Ok,
            "the API server would take it (dry run)".to_owned(),
        );
    };
    let words = error.cause.to_string();
    match &error.cause {
        // A webhook that cannot be asked in vain was not asked.
        _ if words.contains("does not support dry run") => finding(Verdict::Unknown, words),
        ApiCause::Forbidden(_) | ApiCause::Invalid(_) if is_of_limit_range(&words) => {
            finding(Verdict::No, words).fix(
                "a LimitRange of the namespace sets such limits (`kubectl describe limitrange`): ask for less by `resources` and \
                 `enable_docker.resources`, or set limits by `set_pod_resource_limits`",
            )
        }
        ApiCause::Admission(_) | ApiCause::Quota(_) | ApiCause::Forbidden(_) | ApiCause::Invalid(_) => {
            finding(Verdict::No, words).maybe_fix(error.hint())
        }
        _ => finding(Verdict::Unknown, told(error)),
    }
}

/// Whether the words are those of a `LimitRange`, or of the limits that one has put into a pod without any.
fn is_of_limit_range(words: &str) -> bool {
    words.contains("usage per") || words.contains("must be less than or equal to")
}

/// Whether a node is large enough for all containers together. What runs there now is not counted.
fn room(spec: &PodSpec, architectures: &[String], nodes: &Result<Vec<Node>, ApiError>) -> Finding {
    let wanted = requests(spec);
    let text = wanted.iter().filter(|(_, amount)| **amount > 0);
    let text = text.map(|(name, amount)| in_words(name, *amount));
    let text = text.collect::<Vec<_>>().join(", ");
    let nodes = match nodes {
        Ok(nodes) => nodes,
        Err(error) if error.is_forbidden() => {
            let reason = format!("you may not list nodes; the pod asks for {text}");
            return Finding::new("room", Verdict::Unknown, reason);
        }
        Err(error) => return Finding::new("room", Verdict::Unknown, told(error)),
    };
    let eligible = nodes.iter().filter(|node| is_eligible(node, architectures));
    let eligible: Vec<&Node> = eligible.collect();
    let holds = eligible.iter().filter(|node| can_hold(node, &wanted));
    let (count, all) = (holds.count(), eligible.len());
    if count == 0 && all > 0 {
        let reason = format!("none of {all} nodes can ever hold {text}");
        return Finding::new("room", Verdict::No, reason).fix(
            "ask for less: `resources` of the task, `enable_docker.resources` of the sidecar",
        );
    }
    let reason = format!("{count} of {all} nodes are large enough for {text}, sidecar included");
    Finding::new("room", Verdict::Ok, reason)
}

fn is_eligible(node: &Node, architectures: &[String]) -> bool {
    let info = node.status.as_ref().and_then(|it| it.node_info.as_ref());
    info.is_some_and(|info| {
        info.operating_system == "linux" && architectures.contains(&info.architecture)
    })
}

/// Thousandths of what is asked for: of a CPU, of a byte.
type Requests = BTreeMap<String, u128>;

/// What the scheduler counts: all containers, and the init containers that stay.
fn requests(spec: &PodSpec) -> Requests {
    let stays = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    let init = spec.init_containers.iter().flatten().filter(stays);
    let mut sum = Requests::new();
    for container in spec.containers.iter().chain(init) {
        let resources = container.resources.iter();
        for (name, quantity) in resources.flat_map(|it| it.requests.iter().flatten()) {
            *sum.entry(name.clone()).or_default() += quantity_thousandths(quantity).unwrap_or(0);
        }
    }
    sum
}

fn can_hold(node: &Node, wanted: &Requests) -> bool {
    let status = node.status.as_ref();
    let allocatable = status.and_then(|status| status.allocatable.as_ref());
    wanted.iter().all(|(name, amount)| {
        let there = allocatable.and_then(|all| all.get(name));
        *amount == 0 || there.and_then(quantity_thousandths).unwrap_or(0) >= *amount
    })
}

/// `0.5 CPUs`, `2 GB of memory`: three decimals at most.
fn in_words(name: &str, thousandths: u128) -> String {
    let (amount, what) = match name {
        "cpu" => (thousandths, "CPUs"),
        "memory" => (thousandths / 1_000_000_000, "GB of memory"),
        "ephemeral-storage" => (thousandths / 1_000_000_000, "GB of disk"),
        name => (thousandths, name),
    };
    let text = format!("{}.{:03}", amount / 1000, amount % 1000);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} {what}")
}

/// Whether the runtime that the pod names is there.
fn runtime(spec: &PodSpec, runtimes: &Result<Vec<RuntimeClass>, ApiError>) -> Option<Finding> {
    let name = spec.runtime_class_name.as_deref()?;
    let finding = |verdict, reason: String| Finding::new("runtime class", verdict, reason);
    let Ok(runtimes) = runtimes else {
        let reason = format!("`{name}` is asked for, and you may not read runtime classes");
        return Some(finding(Verdict::Unknown, reason));
    };
    let mut names = runtimes.iter().map(|it| it.metadata.name.as_deref());
    Some(if names.any(|known| known == Some(name)) {
        finding(Verdict::Ok, format!("`{name}` is there"))
    } else {
        let reason = format!("`pod_config` names `{name}`, and there is none");
        finding(Verdict::No, reason).fix("`kubectl get runtimeclass` lists them")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_sidecar_counts_and_containers_that_end_before_the_task_do_not() {
        let container = |cpu: &str, stays: bool| {
            let policy = stays.then_some("Always");
            json!({ "name": "c", "restartPolicy": policy, "resources": { "requests": { "cpu": cpu } } })
        };
        let spec: PodSpec = serde_json::from_value(json!({
            "containers": [container("500m", false)],
            "initContainers": [container("2", false), container("250m", true)],
        }))
        .expect("a pod");
        let requests = requests(&spec);
        assert_eq!(requests["cpu"], 750);
        assert_eq!(in_words("cpu", 750), "0.75 CPUs");
        assert_eq!(in_words("memory", 2_000_000_000_000), "2 GB of memory");
    }
}
