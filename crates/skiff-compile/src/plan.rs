//! The objects of one cluster.

use k8s_openapi::api::core::v1::{Pod, Secret};

use crate::{ClusterName, ClusterRecord};

/// What a launch creates. The agent's Secrets are apart ([`crate::agent_secrets`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The cluster's name in Kubernetes.
    pub cluster: ClusterName,
    /// What the owner Secret says of the cluster.
    pub record: ClusterRecord,
    /// The Secret that owns all the rest, and whose creation is the lock.
    pub owner: Secret,
    /// Pods by rank, without their owner reference: see [`Plan::pods`].
    pub pods: Vec<Pod>,
    /// What was changed of the request, one sentence each.
    pub notes: Vec<String>,
}

impl Plan {
    /// The pods as they are created once the owner Secret exists under this uid.
    pub fn pods(&self, owner_uid: &str) -> Vec<Pod> {
        todo!("{owner_uid}")
    }

    /// All objects as one YAML stream.
    pub fn to_yaml(&self) -> String {
        todo!()
    }
}
