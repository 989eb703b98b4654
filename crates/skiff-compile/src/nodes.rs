//! The nodes of a cluster: their pods and names, as the first launch makes them and any later one makes them again.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::{Deserialize, Serialize};

use crate::pod::Template;
use crate::record::{RecordError, stored};
use crate::{ClusterName, docker, home, labels, service};

/// Makes the claim of a rank of what those of all have in common.
type OfRank = fn(&ClusterName, PersistentVolumeClaim, u32) -> PersistentVolumeClaim;

/// All nodes of a cluster. The owner Secret holds it: a pod that is gone is made again as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Nodes {
    /// The cluster's name in Kubernetes.
    pub(crate) cluster: ClusterName,
    /// How many there are.
    pub(crate) count: u32,
    /// What the pods have in common: a thousand of them need no room before they are created.
    pub(crate) pods: Template,
    /// The metadata that the Services have in common.
    pub(crate) services: ObjectMeta,
    /// What the claims of the nodes' homes have in common, where these are volumes of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) homes: Option<PersistentVolumeClaim>,
    /// What the claims of the nodes' disks for Docker have in common, where they have such disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) docker_disks: Option<PersistentVolumeClaim>,
}

impl Nodes {
    /// Reads the nodes of the cluster that an owner Secret stands for.
    pub fn from_secret(secret: &Secret) -> Result<Self, RecordError> {
        let json = stored(secret, labels::NODES_KEY)?;
        serde_json::from_slice(json)
            .map_err(|source| RecordError::malformed(secret, labels::NODES_KEY, source))
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("Kubernetes objects are always valid JSON")
    }

    /// The cluster's name in Kubernetes.
    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The hash of what the pods are made from, which each bears as an annotation.
    pub fn spec_hash(&self) -> &str {
        self.pods.spec_hash()
    }

    /// The pods by rank, one after the other, as they are created once the owner Secret exists
    /// under this uid.
    pub fn pods(&self, owner_uid: &str) -> impl Iterator<Item = Pod> + Send {
        let mut template = self.pods.clone();
        give_owner(template.metadata_mut(), &self.cluster, owner_uid);
        self.ranks()
            .map(move |rank| template.pod(&self.cluster, rank))
    }

    /// The pods' names by rank.
    pub fn pod_names(&self) -> impl Iterator<Item = String> {
        self.ranks().map(|rank| self.cluster.pod(rank))
    }

    /// The Services by rank that give the pods of several nodes their names, as they are created once
    /// the owner Secret exists under this uid.
    pub fn services(&self, owner_uid: &str) -> impl Iterator<Item = Service> + Send {
        let mut metadata = self.services.clone();
        give_owner(&mut metadata, &self.cluster, owner_uid);
        self.named_ranks()
            .map(move |rank| service::of_rank(&self.cluster, metadata.clone(), rank))
    }

    /// The claims by rank of the volumes that the nodes have of their own, homes and disks for Docker, as they are
    /// created once the owner Secret exists under this uid.
    pub fn claims(&self, owner_uid: &str) -> impl Iterator<Item = PersistentVolumeClaim> + Send {
        self.shown_claims().map(move |mut claim| {
            give_owner(&mut claim.metadata, &self.cluster, owner_uid);
            claim
        })
    }

    /// The claims as they are shown, without an owner.
    pub(crate) fn shown_claims(&self) -> impl Iterator<Item = PersistentVolumeClaim> + Send {
        let of_ranks = |claim: &'_ Option<PersistentVolumeClaim>, of_rank: OfRank| {
            let claim = claim.clone().into_iter();
            claim.flat_map(move |claim| {
                self.ranks()
                    .map(move |rank| of_rank(&self.cluster, claim.clone(), rank))
            })
        };
        let homes = of_ranks(&self.homes, home::of_rank);
        homes.chain(of_ranks(&self.docker_disks, docker::disk_of_rank))
    }

    /// The Services as they are shown, without an owner.
    pub(crate) fn shown_services(&self) -> impl Iterator<Item = Service> {
        self.named_ranks()
            .map(|rank| service::of_rank(&self.cluster, self.services.clone(), rank))
    }

    /// The pods as they are shown, without an owner.
    pub(crate) fn shown_pods(&self) -> impl Iterator<Item = Pod> {
        self.ranks().map(|rank| self.pods.pod(&self.cluster, rank))
    }

    /// The ranks whose pods have names: a single pod has nobody that would call it.
    fn named_ranks(&self) -> std::ops::Range<u32> {
        if self.count > 1 { self.ranks() } else { 0..0 }
    }

    fn ranks(&self) -> std::ops::Range<u32> {
        0..self.count
    }
}

/// Has an object go with the owner Secret of this uid.
pub(crate) fn give_owner(metadata: &mut ObjectMeta, cluster: &ClusterName, uid: &str) {
    metadata.owner_references = Some(vec![OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Secret".to_owned(),
        name: cluster.to_string(),
        uid: uid.to_owned(),
        ..OwnerReference::default()
    }]);
}
