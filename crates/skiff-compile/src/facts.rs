//! What is known of a Kubernetes cluster before anything is created there.

use serde::{Deserialize, Serialize};

/// A Kubernetes version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// 1
    pub major: u32,
    /// 29
    pub minor: u32,
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
    /// What it has.
    pub capacity: Amounts,
    /// What pods may have of it.
    pub allocatable: Amounts,
}

/// What is known of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterFacts {
    /// The API server.
    pub server: Version,
    /// None where the user may not read nodes.
    #[serde(default)]
    pub nodes: Option<Vec<NodeFacts>>,
}
