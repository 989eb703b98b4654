//! Where the files of one cluster lie, and the names its kernel objects have.
//!
//! Names only: nothing here touches the disk.

use std::path::{Path, PathBuf};

use crate::name::ClusterName;

/// The files and kernel names of one cluster.
///
/// Interfaces, cgroups and firewall rules are named by a hash of the state folder, so that clusters
/// of several users or several Skiff homes never meet, and so that `down` finds everything even
/// when the record on disk is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    name: ClusterName,
    root: PathBuf,
    lock: PathBuf,
    id: String,
}

impl Layout {
    pub(crate) fn new(clusters: &Path, name: &ClusterName) -> Self {
        let root = clusters.join(name.as_str());
        let id = blake3::hash(root.as_os_str().as_encoded_bytes()).to_hex()[..6].to_owned();
        Self {
            name: name.clone(),
            lock: clusters.join(format!("{name}.lock")),
            root,
            id,
        }
    }

    /// The cluster's name.
    pub fn name(&self) -> &ClusterName {
        &self.name
    }

    /// The state folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The configuration layer of the cluster's context.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.yaml")
    }

    /// The components' logs.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    pub(crate) fn lock(&self) -> &Path {
        &self.lock
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.root.join("cluster.json")
    }

    pub(crate) fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    pub(crate) fn etcd(&self) -> PathBuf {
        self.root.join("etcd")
    }

    /// Configuration files of the control plane and kubeconfigs of all components.
    pub(crate) fn settings(&self) -> PathBuf {
        self.root.join("settings")
    }

    /// One file a process: its pid, start time and boot.
    pub(crate) fn processes(&self) -> PathBuf {
        self.root.join("processes")
    }

    pub(crate) fn nodes(&self) -> PathBuf {
        self.root.join("nodes")
    }

    /// The bridge that joins the nodes.
    pub(crate) fn bridge(&self) -> String {
        format!("skiff-{}", self.id)
    }

    /// The bridge's hardware address, fixed so that nodes joining do not change it.
    pub(crate) fn bridge_hardware_address(&self) -> String {
        format!(
            "02:5f:00:{}:{}:{}",
            &self.id[..2],
            &self.id[2..4],
            &self.id[4..]
        )
    }

    /// The cgroup below which everything of the cluster runs, relative to each hierarchy.
    pub(crate) fn cgroup(&self) -> String {
        format!("skiff-{}", self.id)
    }

    /// The comment that marks the cluster's firewall rules.
    pub(crate) fn rule_mark(&self) -> String {
        format!("skiff-{}", self.id)
    }

    /// One node's files. Nodes count from 1.
    pub(crate) fn node(&self, index: u8) -> NodeLayout {
        NodeLayout {
            name: format!("{}-{index}", self.name),
            root: self.nodes().join(index.to_string()),
            interface: format!("sk{}n{index}", self.id),
            cgroup: format!("{}/node{index}", self.cgroup()),
        }
    }
}

/// The files and kernel names of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeLayout {
    /// The node's name in Kubernetes.
    pub(crate) name: String,
    /// The node's folder.
    pub(crate) root: PathBuf,
    /// The host's end of the node's link to the bridge.
    pub(crate) interface: String,
    /// The kubelet's cgroup root, relative to each hierarchy.
    pub(crate) cgroup: String,
}

impl NodeLayout {
    /// containerd's persistent folder: the image store that outlives the cluster.
    pub(crate) fn containerd(&self) -> PathBuf {
        self.root.join("containerd")
    }

    /// What was imported into the image store.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.root.join("images.json")
    }

    /// Configuration files of the node's components.
    pub(crate) fn settings(&self) -> PathBuf {
        self.root.join("settings")
    }

    /// The only folder that containerd looks for network configuration in.
    pub(crate) fn cni_settings(&self) -> PathBuf {
        self.settings().join("cni")
    }

    /// What pods and processes of the node see as `/etc/resolv.conf`.
    pub(crate) fn resolv_conf(&self) -> PathBuf {
        self.settings().join("resolv.conf")
    }

    /// Host folders that appear at fixed paths inside the node: (folder, path).
    pub(crate) fn private_folders(&self) -> Vec<(PathBuf, &'static str)> {
        vec![
            (self.root.join("kubelet"), "/var/lib/kubelet"),
            (self.root.join("pod-logs"), "/var/log/pods"),
            (self.root.join("container-logs"), "/var/log/containers"),
            (self.cni_state(), "/var/lib/cni"),
        ]
    }

    /// Addresses that the node's pods hold; void when the node's network is made anew.
    pub(crate) fn cni_state(&self) -> PathBuf {
        self.root.join("cni")
    }

    /// The volumes of claims whose pods run on this node; gone with the cluster.
    pub(crate) fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// The cgroup of containerd, kubelet and kube-proxy themselves.
    pub(crate) fn services_cgroup(&self) -> String {
        format!("{}/services", self.cgroup)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(folder: &str) -> Layout {
        Layout::new(Path::new(folder), &"local".parse().unwrap())
    }

    #[test]
    fn interface_names_fit_the_kernel() {
        let layout = layout("/root/.skiff/local");
        assert!(layout.bridge().len() <= 15);
        assert!(layout.node(255).interface.len() <= 15);
    }

    #[test]
    fn two_homes_share_no_kernel_name() {
        let (a, b) = (layout("/a"), layout("/b"));
        assert_ne!(a.bridge(), b.bridge());
        assert_ne!(a.cgroup(), b.cgroup());
        assert_ne!(a.node(1).interface, b.node(1).interface);
    }

    #[test]
    fn the_lock_lies_outside_the_folder_it_guards() {
        let layout = layout("/a");
        assert!(!layout.lock().starts_with(layout.root()));
    }
}
