//! The configuration files of all components, by version.
//!
//! Texts are pure functions of the cluster; [`write_control_plane`] and [`write_node`] put them on
//! the disk. JSON is written where YAML is read: it is YAML too, and needs no quoting rules.

mod containerd;
mod kubelet;

use std::path::PathBuf;

use serde_json::{Value, json};

pub(crate) use containerd::Runtime;

use crate::{
    cluster::{Cluster, Node},
    controller,
    file::{self, FileError},
    pki::{self, Pki},
    resolver::Resolver,
};

/// Facts about the machine that the nodes' settings depend on.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// Whether cgroups are governed by version 1.
    pub(crate) cgroup_version_1: bool,
    /// containerd and what it runs on.
    pub(crate) runtime: Runtime,
}

/// The kubeconfig of a control plane component, or of the administrator.
pub(crate) fn kubeconfig_path(cluster: &Cluster, name: &str) -> PathBuf {
    cluster.layout.settings().join(format!("{name}.kubeconfig"))
}

/// Where plugins for volumes of the old kind would lie; nothing outside the state folder is used.
pub(crate) fn volume_plugins(cluster: &Cluster) -> PathBuf {
    cluster.layout.settings().join("volume-plugins")
}

/// The kubeconfig of a node's component.
pub(crate) fn node_kubeconfig_path(node: &Node, name: &str) -> PathBuf {
    node.files.settings().join(format!("{name}.kubeconfig"))
}

pub(crate) fn containerd_path(node: &Node) -> PathBuf {
    node.files.settings().join("containerd.toml")
}

pub(crate) fn kubelet_path(node: &Node) -> PathBuf {
    node.files.settings().join("kubelet.json")
}

pub(crate) fn proxy_path(node: &Node) -> PathBuf {
    node.files.settings().join("kube-proxy.json")
}

/// Writes the kubeconfigs of the control plane and the administrator.
pub(crate) fn write_control_plane(cluster: &Cluster, pki: &Pki) -> Result<(), FileError> {
    file::make_folder(&cluster.layout.settings())?;
    for name in ["admin", "controller-manager", "scheduler", controller::NAME] {
        let text = component_kubeconfig(cluster, pki, name);
        file::write(&kubeconfig_path(cluster, name), &text.to_string())?;
    }
    Ok(())
}

/// Writes everything that a node's components read, and makes the folders they use.
pub(crate) fn write_node(
    cluster: &Cluster,
    node: &Node,
    pki: &Pki,
    facts: &Facts,
    resolver: &Resolver,
) -> Result<(), FileError> {
    file::make_folder(&node.files.cni_settings())?;
    file::make_folder(&node.files.containerd())?;
    for (folder, _) in node.files.private_folders() {
        file::make_folder(&folder)?;
    }
    let network = node.files.cni_settings().join("10-skiff.conflist");
    file::write(&network, &pod_network(cluster, node).to_string())?;
    file::write_in_place(&node.files.resolv_conf(), &resolver.text)?;
    file::write(
        &containerd_path(node),
        &containerd::text(node, &facts.runtime),
    )?;
    let kubelet = kubelet::settings(cluster, node, pki, facts);
    file::write(&kubelet_path(node), &kubelet.to_string())?;
    file::write(&proxy_path(node), &proxy(cluster, node).to_string())?;
    for (name, certificate) in [
        ("kubelet", pki::kubelet_client(node)),
        ("kube-proxy", "proxy".to_owned()),
    ] {
        let text = component_kubeconfig(cluster, pki, &certificate);
        file::write(&node_kubeconfig_path(node, name), &text.to_string())?;
    }
    Ok(())
}

/// A kubeconfig that points at certificate files.
fn component_kubeconfig(cluster: &Cluster, pki: &Pki, certificate: &str) -> Value {
    let name = cluster.layout.name().context();
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {
            "server": cluster.server(),
            "certificate-authority": pki.certificate("ca"),
        }}],
        "users": [{"name": name, "user": {
            "client-certificate": pki.certificate(certificate),
            "client-key": pki.key(certificate),
        }}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    })
}

/// The nodes' pod network: a bridge inside the node whose addresses the host routes to the node.
fn pod_network(cluster: &Cluster, node: &Node) -> Value {
    json!({
        "cniVersion": "0.3.1",
        "name": "skiff",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isDefaultGateway": true,
                "hairpinMode": true,
                "mtu": cluster.record.mtu,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": cluster.record.range.node_pods(node.index)}]],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}

fn proxy(cluster: &Cluster, node: &Node) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "bindAddress": node.address,
        "hostnameOverride": node.files.name,
        "clusterCIDR": cluster.record.range.pods(),
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "clientConnection": {"kubeconfig": node_kubeconfig_path(node, "kube-proxy")},
        // The connection table belongs to the host, and not every root may change it.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{layout::Layout, record::example};

    pub(super) fn cluster() -> Cluster {
        let layout = Layout::new("/s".as_ref(), &"local".parse().unwrap());
        Cluster {
            layout,
            record: example(),
        }
    }

    #[test]
    fn each_node_has_its_own_pod_addresses() {
        let cluster = cluster();
        let subnet = |node| {
            pod_network(&cluster, &cluster.node(node))["plugins"][0]["ipam"]["ranges"][0][0]
                ["subnet"]
                .clone()
        };
        assert_eq!(subnet(1), "10.200.129.0/24");
        assert_eq!(subnet(2), "10.200.130.0/24");
    }

    #[test]
    fn the_proxy_leaves_the_connection_table_alone() {
        let cluster = cluster();
        let settings = proxy(&cluster, &cluster.node(1));
        assert_eq!(settings["conntrack"]["maxPerCore"], 0);
        assert_eq!(settings["clusterCIDR"], "10.200.128.0/17");
    }

    #[test]
    fn a_component_authenticates_with_its_own_certificate() {
        let cluster = cluster();
        let text = component_kubeconfig(&cluster, &Pki::new(&cluster), "scheduler");
        assert_eq!(
            text["users"][0]["user"]["client-key"],
            "/s/local/pki/scheduler.key"
        );
        assert_eq!(
            text["clusters"][0]["cluster"]["server"],
            "https://10.200.0.1:6443"
        );
    }
}
