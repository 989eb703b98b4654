//! What a pod's status means for somebody who waits for one of its containers. Pure.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod};

use crate::Diagnosis;

/// Where a pod is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodState {
    /// It will go on by itself.
    Waiting(Waiting),
    /// It goes on only if something outside changes; worth waiting for at most the grace.
    Stuck {
        /// What it is stuck on.
        diagnosis: Diagnosis,
        /// How long waiting makes sense; None: as long as pods may wait to be scheduled.
        grace: Option<Duration>,
    },
    /// The container runs.
    Running,
    /// The container has ended with 0 and will not come back.
    Completed,
    /// It will never run.
    Failed(Diagnosis),
}

/// What a pod waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// A node.
    Scheduling,
    /// An image, or a volume, or the container runtime: the kubelet does not say which in the status.
    Starting {
        /// The container that is next.
        container: String,
        /// Its image.
        image: String,
    },
    /// The container to come back after it ended.
    Restarting {
        /// Why it ended.
        reason: String,
    },
    /// Its own deletion.
    Deletion,
}

/// Image trouble may be a registry's hiccup: two or three of the kubelet's tries.
const IMAGE_GRACE: Duration = Duration::from_secs(20);
/// A node that fell silent may come back: a restart of its kubelet or of the machine.
const NODE_GRACE: Duration = Duration::from_mins(1);
/// Restarts of a container after which it is said to crash.
const CRASHES: i32 = 3;

/// Reads a pod's status. `ours` names the containers that matter, the awaited one first; others (a mesh's, a log
/// shipper's) never decide.
pub fn observe(pod: &Pod, ours: &[&str]) -> PodState {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let status = pod.status.clone().unwrap_or_default();
    let statuses: Vec<&ContainerStatus> = status
        .init_container_statuses
        .iter()
        .flatten()
        .chain(status.container_statuses.iter().flatten())
        .filter(|container| ours.contains(&container.name.as_str()))
        .collect();
    let main = ours
        .first()
        .and_then(|ours| statuses.iter().find(|c| c.name == *ours))
        .copied();

    if let Some(state) = main.and_then(|container| final_state(name, pod, container)) {
        return state;
    }
    match status.phase.as_deref() {
        Some("Succeeded") => return PodState::Completed,
        Some("Failed") => return PodState::Failed(pod_failure(name, pod)),
        _ => {}
    }
    if pod.metadata.deletion_timestamp.is_some() {
        return PodState::Waiting(Waiting::Deletion);
    }
    for container in &statuses {
        if let Some(state) = trouble(name, container) {
            return state;
        }
    }
    if main.is_some_and(runs) {
        return silent_node(name, pod).map_or(PodState::Running, |diagnosis| PodState::Stuck {
            diagnosis,
            grace: Some(NODE_GRACE),
        });
    }
    if let Some(diagnosis) = unschedulable(name, pod) {
        return PodState::Stuck {
            diagnosis,
            grace: None,
        };
    }
    let scheduled = pod
        .spec
        .as_ref()
        .is_some_and(|spec| spec.node_name.is_some());
    PodState::Waiting(if scheduled {
        next_container(&statuses, main)
    } else {
        Waiting::Scheduling
    })
}

fn runs(container: &ContainerStatus) -> bool {
    let state = container.state.as_ref();
    state.is_some_and(|state| state.running.is_some())
}

/// Whether the pod's node has fallen silent: then its containers count as ready for ever, as nobody says otherwise, and the
/// control plane itself has marked the pod as not ready. A readiness gate does that too, with a reason.
fn silent_node(name: &str, pod: &Pod) -> Option<Diagnosis> {
    let status = pod.status.as_ref()?;
    let condition = |kind: &str| {
        let mut all = status.conditions.iter().flatten();
        all.find(|condition| condition.type_ == kind)
    };
    let (ready, containers) = (condition("Ready")?, condition("ContainersReady")?);
    let by_control_plane = ready.status == "False"
        && containers.status == "True"
        && ready.reason.as_deref() != Some("ReadinessGatesNotReady");
    let node = pod.spec.as_ref()?.node_name.as_deref()?;
    by_control_plane.then(|| Diagnosis {
        object: format!("pod {name}"),
        cause: format!("its node {node} does not answer any more (NotReady)"),
        hint: Some(
            "its jobs go on if the node comes back; `skiff down` and a new launch put the cluster on another node"
                .to_owned(),
        ),
    })
}

/// How the awaited container ended the last time, where it was started again since.
pub fn last_restart(pod: &Pod, container: &str) -> Option<String> {
    let mut statuses = pod.status.as_ref()?.container_statuses.iter().flatten();
    let status = statuses.find(|status| status.name == container)?;
    let last = status.last_state.as_ref()?.terminated.as_ref()?;
    Some(ended(last))
}

/// The end of the awaited container, where it is one: with `OnFailure`, exit 0 is for good.
fn final_state(pod_name: &str, pod: &Pod, main: &ContainerStatus) -> Option<PodState> {
    let terminated = main.state.as_ref()?.terminated.as_ref()?;
    let never = pod.spec.as_ref()?.restart_policy.as_deref() == Some("Never");
    if terminated.exit_code == 0 {
        Some(PodState::Completed)
    } else if never {
        Some(PodState::Failed(Diagnosis {
            object: object(pod_name, &main.name),
            cause: ended(terminated),
            hint: None,
        }))
    } else {
        None
    }
}

fn pod_failure(name: &str, pod: &Pod) -> Diagnosis {
    let status = pod.status.clone().unwrap_or_default();
    let reason = status.reason.unwrap_or_else(|| "Failed".to_owned());
    let message = status.message.unwrap_or_default();
    let hint = match reason.as_str() {
        "Evicted" => {
            Some("ask for more of what ran out in `resources:`, or free it on the node".to_owned())
        }
        "OutOfcpu" | "OutOfmemory" | "OutOfpods" => {
            Some("launch again: the node filled up in between".to_owned())
        }
        _ => None,
    };
    let cause = if message.is_empty() {
        reason
    } else {
        format!("{reason}: {}", message.trim())
    };
    Diagnosis {
        object: format!("pod {name}"),
        cause,
        hint,
    }
}

/// What keeps a container from starting, from its waiting reason.
fn trouble(pod: &str, container: &ContainerStatus) -> Option<PodState> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().unwrap_or_default();
    let message = waiting.message.clone().unwrap_or_default();
    let object = object(pod, &container.name);
    match reason {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ErrImageNeverPull"
        | "InvalidImageName"
        | "RegistryUnavailable"
        | "ImageInspectError" => Some(image_trouble(object, &container.image, reason, &message)),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            Some(PodState::Failed(Diagnosis {
                object,
                hint: start_hint(&message),
                cause: format!("the container cannot be started: {}", message.trim()),
            }))
        }
        "CrashLoopBackOff" if container.restart_count >= CRASHES || start_failed(container) => {
            let last = container
                .last_state
                .as_ref()
                .and_then(|state| state.terminated.as_ref());
            let cause = last.map_or_else(|| message.trim().to_owned(), ended);
            let hint = start_hint(&cause);
            Some(PodState::Failed(Diagnosis {
                object,
                cause,
                hint,
            }))
        }
        "CrashLoopBackOff" => Some(PodState::Waiting(Waiting::Restarting {
            reason: last_end(container.last_state.as_ref()).unwrap_or(message),
        })),
        _ => None,
    }
}

/// Whether the runtime could not even start the command, which no restart will change.
fn start_failed(container: &ContainerStatus) -> bool {
    let last = container
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref());
    last.is_some_and(|end| {
        matches!(
            end.reason.as_deref(),
            Some("StartError" | "ContainerCannotRun")
        )
    })
}

fn image_trouble(object: String, image: &str, reason: &str, message: &str) -> PodState {
    const FINAL: &[&str] = &[
        "not found",
        "manifest unknown",
        "does not exist",
        "access denied",
        "authorization failed",
        "unauthorized",
        "401",
        "403",
        "InvalidImageName",
        "couldn't parse image",
        "is not present with pull policy of Never",
    ];
    // What the container runtime says arrives wrapped by the way it was asked.
    let text = message
        .rsplit_once("desc = ")
        .map_or(message, |(_, text)| text)
        .trim();
    let denied = ["denied", "unauthorized", "authorization", "401", "403"]
        .iter()
        .any(|word| text.contains(word));
    let hint = if denied {
        "check the image's name, and that the cluster may pull it (`imagePullSecrets`)"
    } else {
        "check the name and tag of the image (`image_id`), and that the cluster's nodes reach its registry; `skiff local \
         load` brings an image file into a local cluster"
    };
    let detail = if text.is_empty() || text.starts_with("Back-off pulling") {
        reason
    } else {
        text
    };
    let diagnosis = Diagnosis {
        object,
        cause: format!("the image {image} cannot be pulled: {detail}"),
        hint: Some(hint.to_owned()),
    };
    let final_reason = matches!(reason, "InvalidImageName" | "ErrImageNeverPull");
    if final_reason || FINAL.iter().any(|phrase| text.contains(phrase)) {
        PodState::Failed(diagnosis)
    } else {
        PodState::Stuck {
            diagnosis,
            grace: Some(IMAGE_GRACE),
        }
    }
}

/// The known reasons why a container runtime cannot start a container.
/// Words of a runtime that cannot start a container, and what helps; the first that are all there count.
const START_HINTS: &[(&[&str], &str)] = &[
    (
        &["/bin/sh", "no such file"],
        "the image has no /bin/sh; Skiff needs a shell in it to start",
    ),
    (
        &["non-root"],
        "the cluster refuses root: use an image whose user is not root, by number",
    ),
    (
        &["runAsNonRoot"],
        "the cluster refuses root: use an image whose user is not root, by number",
    ),
    (
        &["o space left on device"],
        "the disk of the pod's node is full",
    ),
    (
        &["EEXIST", "/dev/"],
        "the sandbox gives all devices of the node to privileged containers: its administrator has to set \
         `privileged_without_host_devices = true` for this RuntimeClass in containerd's configuration",
    ),
    (
        &["/proc/0/uid_map"],
        "Sysbox does not work with this containerd; use another RuntimeClass",
    ),
    (
        &["mount_setattr", "nvalid argument"],
        "a volume of the pod is on a file system that knows no user namespaces, such as NFS: leave `hostUsers: false` \
         away, or the volume",
    ),
];

fn start_hint(message: &str) -> Option<String> {
    START_HINTS
        .iter()
        .find(|(words, _)| words.iter().all(|word| message.contains(word)))
        .map(|(_, hint)| (*hint).to_owned())
}

fn unschedulable(name: &str, pod: &Pod) -> Option<Diagnosis> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions
        .iter()
        .find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
    let message = condition.message.clone().unwrap_or_default();
    let hint = [
        ("Insufficient cpu", "ask for less (`--cpus`), or end something that runs there: the cluster has not so much CPU free"),
        ("Insufficient memory", "ask for less (`--memory`), or end something that runs there: the cluster has not so much memory free"),
        ("Insufficient", "ask for less, or wait until something that runs there has ended"),
        ("taint", "the cluster's nodes refuse ordinary pods (taints); its administrator can say which are for you"),
        ("affinity", "no node is of the kind that the task needs"),
    ]
    .iter()
    .find(|(word, _)| message.contains(word))
    .map(|(_, hint)| (*hint).to_owned());
    let cause = format!(
        "no node can take it: {}",
        message.trim().trim_end_matches('.')
    );
    Some(Diagnosis {
        object: format!("pod {name}"),
        cause,
        hint,
    })
}

/// The first container that does not run yet.
fn next_container(statuses: &[&ContainerStatus], main: Option<&ContainerStatus>) -> Waiting {
    let idle = |container: &&&ContainerStatus| {
        container
            .state
            .as_ref()
            .is_none_or(|state| state.running.is_none() && state.terminated.is_none())
    };
    if let Some(reason) = main.and_then(|main| last_end(main.state.as_ref())) {
        return Waiting::Restarting { reason };
    }
    let next = statuses.iter().find(idle).copied().or(main);
    next.map_or(
        Waiting::Starting {
            container: String::new(),
            image: String::new(),
        },
        |container| Waiting::Starting {
            container: container.name.clone(),
            image: container.image.clone(),
        },
    )
}

fn object(pod: &str, container: &str) -> String {
    format!("pod {pod}, container {container}")
}

fn last_end(state: Option<&ContainerState>) -> Option<String> {
    state?.terminated.as_ref().map(ended)
}

/// How a container ended, in one fragment.
fn ended(end: &ContainerStateTerminated) -> String {
    let reason = match end.reason.as_deref() {
        Some("OOMKilled") => {
            "it was killed because it used more memory than its limit (OOMKilled); ask for more with `resources.memory`"
                .to_owned()
        }
        Some("StartError" | "ContainerCannotRun") => "it could not be started".to_owned(),
        _ => format!("it ended with exit code {}", end.exit_code),
    };
    match end.message.as_deref().map(str::trim) {
        Some(message) if !message.is_empty() => format!("{reason}: {message}"),
        _ => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::start_hint;

    #[test]
    fn refusals_of_sandboxes_are_known() {
        for (message, word) in [
            (
                "failed to create containerd task: failed to create shim task: Failed to mknod: EEXIST: File exists /dev/full",
                "privileged_without_host_devices",
            ),
            ("open /proc/0/uid_map: no such file or directory", "Sysbox"),
            (
                "failed to set MOUNT_ATTR_IDMAP on /var/lib/kubelet/x: mount_setattr: Invalid argument",
                "hostUsers",
            ),
            ("write /x: no space left on device", "full"),
        ] {
            let hint = start_hint(message).unwrap_or_else(|| panic!("not known: {message}"));
            assert!(hint.contains(word), "{hint}");
        }
        assert_eq!(start_hint("something else"), None);
    }
}
