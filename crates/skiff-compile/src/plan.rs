//! The objects of one cluster.

use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde::Serialize;

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

/// An object of a plan, for one YAML stream of several kinds.
#[derive(Serialize)]
#[serde(untagged)]
enum Object<'a> {
    Secret(&'a Secret),
    Pod(&'a Pod),
}

impl Plan {
    /// The pods as they are created once the owner Secret exists under this uid.
    pub fn pods(&self, owner_uid: &str) -> Vec<Pod> {
        let owner = OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Secret".to_owned(),
            name: self.cluster.to_string(),
            uid: owner_uid.to_owned(),
            ..OwnerReference::default()
        };
        let mut pods = self.pods.clone();
        for pod in &mut pods {
            pod.metadata.owner_references = Some(vec![owner.clone()]);
        }
        pods
    }

    /// All objects as one YAML stream.
    pub fn to_yaml(&self) -> String {
        let pods = self.pods.iter().map(Object::Pod);
        let objects: Vec<Object<'_>> = std::iter::once(Object::Secret(&self.owner))
            .chain(pods)
            .collect();
        let options = serde_saphyr::ser_options! { folded_wrap_chars: 4096 };
        serde_saphyr::to_string_multiple_with_options(&objects, options)
            .expect("Kubernetes objects are always valid YAML")
    }
}
