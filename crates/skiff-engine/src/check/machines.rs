//! The API server, and what Kubernetes tells of the nodes: kernels, runtimes, systems with known traps.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, NodeSystemInfo};
use k8s_openapi::api::node::v1::RuntimeClass;
use skiff_compile::ClusterFacts;
use skiff_kube::{ApiError, Cluster};
use skiff_schema::DockerMode;

use super::{Finding, Verdict, Way, told};

/// Who is not root may mount overlay file systems from this kernel on.
const ROOTLESS_OVERLAY: (u32, u32) = (5, 11);
/// The oldest Kubernetes that Skiff supports.
const OLDEST: skiff_compile::Version = skiff_compile::Version::v1(20);

/// A trap of systems whose name begins like this.
struct Trap {
    system: &'static str,
    mode: DockerMode,
    verdict: Verdict,
    reason: &'static str,
    fix: &'static str,
}

const TRAPS: [Trap; 4] = [
    Trap {
        system: "Bottlerocket",
        mode: DockerMode::Build,
        verdict: Verdict::Warning,
        reason: "Bottlerocket has user.max_user_namespaces=0 unless it was changed, and then no rootless builder can start",
        fix: "set it on the nodes: `[settings.kernel.sysctl] \"user.max_user_namespaces\" = \"16384\"`",
    },
    Trap {
        system: "Talos",
        mode: DockerMode::Build,
        verdict: Verdict::Warning,
        reason: "Talos has user.max_user_namespaces=0 unless it was changed, and then no rootless builder can start",
        fix: "set it in the machine configuration: `machine.sysctls: {user.max_user_namespaces: \"11255\"}`",
    },
    Trap {
        system: "Ubuntu 2",
        mode: DockerMode::Build,
        verdict: Verdict::Warning,
        reason: "Ubuntu from 23.10 on may restrict user namespaces by AppArmor (kernel.apparmor_restrict_unprivileged_userns=1)",
        fix: "if builds fail with `fork/exec /proc/self/exe: permission denied`, set that to 0 on the nodes",
    },
    Trap {
        system: "Red Hat Enterprise Linux 7",
        mode: DockerMode::Build,
        verdict: Verdict::No,
        reason: "RHEL 7 has user.max_user_namespaces=0 and a kernel too old for rootless builders",
        fix: "use ALL, or newer nodes",
    },
];

/// Ubuntu before this release has no such restriction.
const RESTRICTED_UBUNTU: (u32, u32) = (23, 10);

/// The version of the API server and the oldest kubelet.
pub(super) fn server(facts: &ClusterFacts) -> Finding {
    let nodes = facts.nodes.iter().flatten();
    let oldest = nodes.map(|node| node.kubelet).min();
    let kubelets = match oldest {
        Some(oldest) => format!("oldest kubelet {oldest}"),
        None => "kubelets unknown".to_owned(),
    };
    let reason = format!("Kubernetes {}, {kubelets}", facts.server);
    if facts.server < OLDEST {
        return Finding::new("server", Verdict::No, reason)
            .fix(format!("Skiff supports Kubernetes {OLDEST} and later"));
    }
    Finding::new("server", Verdict::Ok, reason)
}

/// The runtime classes, where they may be read.
pub(super) async fn runtimes(cluster: &Cluster) -> Result<Vec<RuntimeClass>, ApiError> {
    cluster.runtime_classes().await
}

/// Which sandboxes there are to choose from.
pub(super) fn runtime_classes(runtimes: &Result<Vec<RuntimeClass>, ApiError>) -> Finding {
    let finding = |verdict, reason: String| Finding::new("sandboxes", verdict, reason);
    let runtimes = match runtimes {
        Ok(runtimes) => runtimes,
        Err(error) if error.is_forbidden() => {
            let reason = "you may not read runtime classes".to_owned();
            return finding(Verdict::Unknown, reason);
        }
        Err(error) => return finding(Verdict::Unknown, told(error)),
    };
    let told: Vec<String> = runtimes.iter().filter_map(sandbox).collect();
    if told.is_empty() {
        let reason = "no runtime class of Kata, gVisor or Sysbox; Docker needs none".to_owned();
        return finding(Verdict::Ok, reason);
    }
    finding(Verdict::Ok, told.join("; "))
}

/// ALL in each of the virtual machines that there are.
pub(super) fn sandboxed(runtimes: &Result<Vec<RuntimeClass>, ApiError>) -> Vec<Way> {
    let classes = runtimes.iter().flatten().filter(|class| is(class, "kata"));
    let names = classes.filter_map(|class| class.metadata.name.clone());
    let way = |name| Way {
        mode: DockerMode::All,
        runtime: Some(name),
    };
    names.map(way).collect()
}

/// Whether a runtime class or its handler is called so.
fn is(class: &RuntimeClass, word: &str) -> bool {
    let name = class.metadata.name.as_deref().unwrap_or_default();
    name.contains(word) || class.handler.contains(word)
}

/// What a runtime class means for Docker; None where it is no sandbox.
fn sandbox(class: &RuntimeClass) -> Option<String> {
    let name = class.metadata.name.as_deref().unwrap_or_default();
    let what = if is(class, "kata") {
        "Kata: ALL in a virtual machine of its own; `pod_config.spec.runtimeClassName` chooses it. Its containerd must have \
         `privileged_without_host_devices`, which Kubernetes does not tell"
    } else if is(class, "gvisor") || is(class, "runsc") {
        "gVisor: dockerd runs there with limits, and Skiff does not test it"
    } else if is(class, "sysbox") {
        "Sysbox: does not work with containerd 2 and Kubernetes from 1.33 on"
    } else {
        return None;
    };
    Some(format!("`{name}` is {what}"))
}

/// What nodes are known to get wrong. Nodes that are alike are told once.
pub(super) fn traps(nodes: &Result<Vec<Node>, ApiError>, modes: &[DockerMode]) -> Vec<Finding> {
    let nodes = match nodes {
        Ok(nodes) => nodes,
        Err(error) if error.is_forbidden() => {
            let reason = "you may not read nodes: their kernels and systems are not known";
            return vec![Finding::new("nodes", Verdict::Unknown, reason)];
        }
        Err(error) => return vec![Finding::new("nodes", Verdict::Unknown, told(error))],
    };
    let mut alike: BTreeMap<(String, String, String), Vec<String>> = BTreeMap::new();
    for node in nodes {
        let Some(info) = linux(node) else {
            continue;
        };
        let kind = (
            info.os_image.clone(),
            info.kernel_version.clone(),
            info.container_runtime_version.clone(),
        );
        let name = node.metadata.name.clone().unwrap_or_default();
        alike.entry(kind).or_default().push(name);
    }
    let mut findings = Vec::new();
    for ((system, kernel, runtime), names) in &alike {
        let who = match names.as_slice() {
            [only] => only.clone(),
            names => format!("{} nodes", names.len()),
        };
        let reason = format!("{who}: {system}, kernel {kernel}, {runtime}");
        findings.push(Finding::new("nodes", Verdict::Ok, reason));
        findings.extend(known(system, kernel).into_iter().filter(|finding| {
            finding
                .way
                .as_ref()
                .is_none_or(|way| modes.contains(&way.mode))
        }));
    }
    if findings.is_empty() {
        let reason = "there is no Linux node now; an autoscaler may bring some";
        findings.push(Finding::new("nodes", Verdict::Unknown, reason));
    }
    findings
}

fn linux(node: &Node) -> Option<&NodeSystemInfo> {
    let info = node.status.as_ref()?.node_info.as_ref()?;
    (info.operating_system == "linux").then_some(info)
}

/// What is known of a system and a kernel.
fn known(system: &str, kernel: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    match numbers(kernel) {
        Some(version) if version < ROOTLESS_OVERLAY => {
            let reason = format!(
                "kernel {kernel}: rootless overlay file systems need {}.{}, and builders without them copy whole images",
                ROOTLESS_OVERLAY.0, ROOTLESS_OVERLAY.1
            );
            let finding =
                Finding::new("nodes", Verdict::Warning, reason).of(&Way::plain(DockerMode::Build));
            findings.push(finding.fix("use newer nodes, or ALL"));
        }
        Some(_) => {}
        None => findings.push(
            Finding::new(
                "nodes",
                Verdict::Unknown,
                format!("kernel {kernel}: its version cannot be read"),
            )
            .of(&Way::plain(DockerMode::Build)),
        ),
    }
    let own = TRAPS.iter().filter(|trap| system.starts_with(trap.system));
    for trap in own {
        let release = system.strip_prefix("Ubuntu ").and_then(numbers);
        if release.is_some_and(|release| release < RESTRICTED_UBUNTU) {
            continue;
        }
        let finding = Finding::new("nodes", trap.verdict, trap.reason).of(&Way::plain(trap.mode));
        findings.push(finding.fix(trap.fix));
    }
    findings
}

/// The first two numbers of a version: `6.8.0-51-generic`, `24.04.1 LTS`.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version
        .split(|char: char| !char.is_ascii_digit())
        .map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(system: &str, kernel: &str) -> Vec<String> {
        let findings = known(system, kernel).into_iter();
        findings.map(|finding| finding.reason).collect()
    }

    #[test]
    fn systems_with_traps_are_known_by_their_names() {
        assert!(
            reasons("Bottlerocket OS 1.26.1 (aws-k8s-1.31)", "6.1.112")[0]
                .contains("max_user_namespaces")
        );
        assert!(reasons("Ubuntu 24.04.1 LTS", "6.8.0-1021-aws")[0].contains("AppArmor"));
        assert!(reasons("Ubuntu 22.04.5 LTS", "6.8.0-1021-aws").is_empty());
        assert!(reasons("Debian GNU/Linux 12 (bookworm)", "6.1.0-28-amd64").is_empty());
    }

    #[test]
    fn old_kernels_are_told_and_strange_ones_are_unknown() {
        assert!(reasons("Amazon Linux 2", "5.10.226-214.880.amzn2.x86_64")[0].contains("5.11"));
        assert!(reasons("Strange", "gvisor")[0].contains("cannot be read"));
    }

    #[test]
    fn sandboxes_are_told_and_other_classes_are_not() {
        let class = |name: &str, handler: &str| -> RuntimeClass {
            serde_json::from_value(serde_json::json!({
                "metadata": { "name": name }, "handler": handler,
            }))
            .expect("a class")
        };
        assert!(sandbox(&class("vm", "kata-qemu")).is_some_and(|told| told.contains("Kata")));
        assert_eq!(sandbox(&class("nvidia", "nvidia")), None);
    }
}
