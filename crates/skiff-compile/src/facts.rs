//! What is known of a Kubernetes cluster before anything is created there.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use skiff_schema::AllowedNodes;

/// The kubelets of a cluster may be so many minor versions behind its API server.
const KUBELET_SKEW: u32 = 3;

/// A Kubernetes version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// 1
    pub major: u32,
    /// 29
    pub minor: u32,
}

impl Version {
    /// `1.minor`
    pub const fn v1(minor: u32) -> Self {
        Self { major: 1, minor }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// CPU and memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// Thousandths of a CPU.
    pub milli_cpu: u64,
    /// Bytes.
    pub bytes: u64,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// Whether its condition `Ready` is true.
    pub ready: bool,
    /// Whether it is not cordoned.
    pub schedulable: bool,
    /// `linux`
    pub os: String,
    /// `amd64`
    pub architecture: String,
    /// Its kubelet.
    pub kubelet: Version,
    /// Whether its usual container runtime gives pods users of their own, as far as the node says so.
    #[serde(default)]
    pub user_namespaces: bool,
    /// What it has.
    pub capacity: Amounts,
    /// What pods may have of it.
    pub allocatable: Amounts,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Its addresses, internal and external.
    #[serde(default)]
    pub addresses: Vec<String>,
}

/// What is known of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterFacts {
    /// The API server.
    pub server: Version,
    /// None where the user may not read nodes; none at all where an autoscaler starts them.
    #[serde(default)]
    pub nodes: Option<Vec<NodeFacts>>,
    /// The volume that `enable_docker.cache_volume` names.
    #[serde(default)]
    pub cache_volume: VolumeFacts,
    /// The runtime class that `pod_config` names.
    #[serde(default)]
    pub runtime_class: RuntimeClassFacts,
    /// The storage class that makes disks for `storage: block` of `enable_docker`.
    #[serde(default)]
    pub disk_class: DiskClassFacts,
}

/// What is known of a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeFacts {
    /// Nobody has looked, or nobody may.
    #[default]
    Unknown,
    /// There is none of this name.
    Missing,
    /// It is there.
    Found(ClaimFacts),
}

/// What is known of a volume's claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimFacts {
    /// Its name.
    pub claim: String,
    /// Who may use it at once: `ReadWriteOnce`…
    pub access_modes: Vec<String>,
    /// Whether it is a file system; else a block device.
    pub is_filesystem: bool,
    /// Why it cannot be used any more; None: it can.
    #[serde(default)]
    pub gone: Option<ClaimGone>,
    /// Who provides its storage; None: unknown.
    #[serde(default)]
    pub provisioner: Option<String>,
}

/// Why a claim cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimGone {
    /// Somebody deletes it.
    Deleting,
    /// What it was bound to is gone.
    Lost,
}

impl ClaimGone {
    /// The end of a sentence that begins with the volume.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Deleting => "is being deleted",
            Self::Lost => "has lost its storage",
        }
    }
}

/// What is known of the storage class of claims that name none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskClassFacts {
    /// Nobody has looked, or nobody may.
    #[default]
    Unknown,
    /// The cluster has no default class.
    Missing,
    /// It is there.
    Found {
        /// Its name.
        name: String,
        /// Who makes its volumes.
        provisioner: String,
    },
}

/// What is known of a runtime class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuntimeClassFacts {
    /// Nobody has looked, or nobody may.
    #[default]
    Unknown,
    /// There is none of this name.
    Missing,
    /// It is there.
    Found {
        /// What the nodes' runtimes know it as.
        handler: String,
    },
}

impl NodeFacts {
    /// Whether a pod with an agent for these architectures may run there.
    pub(crate) fn is_eligible(&self, architectures: &[String]) -> bool {
        self.os == "linux" && architectures.contains(&self.architecture)
    }

    /// Whether the user's configuration allows it: one label, the name or one address is enough.
    pub(crate) fn is_allowed(&self, allowed: Option<&AllowedNodes>) -> bool {
        allowed.is_none_or(|allowed| {
            let mut labels = allowed.label_selector.iter();
            labels.any(|(key, value)| self.labels.get(key) == Some(value))
                || allowed.names.contains(&self.name)
                || self
                    .addresses
                    .iter()
                    .any(|address| allowed.ips.contains(address))
        })
    }
}

impl ClusterFacts {
    /// What is known before a task is looked at.
    pub fn new(server: Version, nodes: Option<Vec<NodeFacts>>) -> Self {
        Self {
            server,
            nodes,
            cache_volume: VolumeFacts::Unknown,
            runtime_class: RuntimeClassFacts::Unknown,
            disk_class: DiskClassFacts::Unknown,
        }
    }

    /// The nodes that may run the pods; nodes that are not ready or cordoned may come back.
    pub(crate) fn eligible_nodes(
        &self,
        architectures: &[String],
        allowed: Option<&AllowedNodes>,
    ) -> impl Iterator<Item = &NodeFacts> {
        let nodes = self.nodes.iter().flatten();
        nodes.filter(move |node| node.is_eligible(architectures) && node.is_allowed(allowed))
    }

    /// The version whose fields every component understands that will see the pods.
    pub(crate) fn pod_version(
        &self,
        architectures: &[String],
        allowed: Option<&AllowedNodes>,
    ) -> Version {
        let oldest = match &self.nodes {
            None => {
                let minor = self.server.minor.saturating_sub(KUBELET_SKEW);
                Some(Version {
                    minor,
                    ..self.server
                })
            }
            Some(_) => self
                .eligible_nodes(architectures, allowed)
                .map(|node| node.kubelet)
                .min(),
        };
        oldest.map_or(self.server, |oldest| oldest.min(self.server))
    }
}
