//! The kubelet's configuration.
//!
//! It is read strictly from 1.20 on: a field that a version does not know must not be written.

use serde_json::{Value, json};

use super::Facts;
use crate::{
    cluster::{Cluster, Node},
    controller::dns,
    flags::CONTAINERD_SOCKET,
    pki::{Pki, kubelet_server},
    settings::volume_plugins,
    version::Version,
};

/// How many processes and threads a pod may have: enough for a Docker daemon and a large build, and
/// few beside what the kernel has for all pods of the machine.
const POD_PIDS: u32 = 4096;
/// The oldest kubelet that takes the runtime's endpoint as a setting.
const ENDPOINT_SETTING: Version = Version::new(1, 27);
/// The oldest kubelet that refuses cgroups of version 1 unless told otherwise.
const REFUSES_CGROUP_1: Version = Version::new(1, 35);

/// The whole file.
pub(crate) fn settings(cluster: &Cluster, node: &Node, pki: &Pki, facts: &Facts) -> Value {
    let certificate = kubelet_server(node);
    let mut settings = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node.address,
        "healthzBindAddress": "127.0.0.1",
        "readOnlyPort": 0,
        "tlsCertFile": pki.certificate(&certificate),
        "tlsPrivateKeyFile": pki.key(&certificate),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": pki.certificate("ca")},
        },
        "authorization": {"mode": "Webhook"},
        "clusterDomain": dns::DOMAIN,
        "clusterDNS": [cluster.record.range.dns_service()],
        "resolvConf": node.files.resolv_conf(),
        "volumePluginDir": volume_plugins(cluster),
        // Nodes share one kernel: each has its own cgroups, and its pods a bound on processes.
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", node.files.cgroup),
        "podPidsLimit": POD_PIDS,
        "enforceNodeAllocatable": [],
        "failSwapOn": false,
        // Bytes, not shares: a large disk that is nearly full still has room for a pod.
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "100Mi",
            "nodefs.inodesFree": "1000",
            "imagefs.available": "100Mi",
        },
        // Local images have no registry that they could be pulled from again.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "serializeImagePulls": false,
        "registryPullQPS": 0,
        // Looked at every second, so that a node is ready when it is, but told only when it changes.
        "nodeStatusUpdateFrequency": "1s",
        "nodeStatusReportFrequency": "5m",
        "kubeAPIQPS": 50,
        "kubeAPIBurst": 100,
        "eventRecordQPS": 0,
    });
    let version = cluster.version();
    if version >= ENDPOINT_SETTING {
        settings["containerRuntimeEndpoint"] = format!("unix://{CONTAINERD_SOCKET}").into();
    }
    if version >= REFUSES_CGROUP_1 && facts.cgroup_version_1 {
        settings["failCgroupV1"] = false.into();
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{containerd::tests::runtime, tests::cluster};

    fn settings_for(version: &str, cgroup_version_1: bool) -> Value {
        let mut cluster = cluster();
        version.clone_into(&mut cluster.record.kubernetes);
        let facts = Facts {
            cgroup_version_1,
            runtime: runtime(Version::new(1, 6)),
        };
        settings(&cluster, &cluster.node(2), &Pki::new(&cluster), &facts)
    }

    #[test]
    fn an_old_kubelet_gets_only_what_it_knows() {
        let settings = settings_for("v1.20.2", true);
        assert!(settings.get("containerRuntimeEndpoint").is_none());
        assert!(settings.get("failCgroupV1").is_none());
    }

    #[test]
    fn a_new_kubelet_is_told_the_endpoint_and_to_bear_old_cgroups() {
        assert!(
            settings_for("v1.27.0", true)
                .get("containerRuntimeEndpoint")
                .is_some()
        );
        assert!(settings_for("v1.34.1", true).get("failCgroupV1").is_none());
        assert_eq!(settings_for("v1.35.0", true)["failCgroupV1"], false);
        assert!(settings_for("v1.35.0", false).get("failCgroupV1").is_none());
    }

    #[test]
    fn pods_ask_the_clusters_own_server_and_have_a_bound_on_processes() {
        let settings = settings_for("v1.20.2", true);
        assert_eq!(settings["clusterDNS"], json!(["10.200.64.10"]));
        assert_eq!(settings["clusterDomain"], "cluster.local");
        assert_eq!(settings["podPidsLimit"], 4096);
    }

    #[test]
    fn every_node_has_its_own_cgroup_root() {
        let root = settings_for("v1.20.2", true)["cgroupRoot"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(
            root.starts_with("/skiff-") && root.ends_with("/node2"),
            "{root}"
        );
    }
}
