//! The objects of one cluster.

use std::fmt;

use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::Serialize;

use crate::pod::Template;
use crate::{ClusterName, ClusterRecord, labels, service};

/// What stands for a value that nobody may see.
const HIDDEN: &str = "<secret>";

/// What a launch creates. The agent's Secrets are apart ([`crate::agent_secrets`]).
#[derive(Clone, PartialEq)]
pub struct Plan {
    /// The cluster's name in Kubernetes.
    pub cluster: ClusterName,
    /// What the owner Secret says of the cluster.
    pub record: ClusterRecord,
    /// The Secret that owns all the rest, and whose creation is the lock.
    pub owner: Secret,
    /// Further Secrets, without their owner reference: see [`Plan::secrets`].
    pub secrets: Vec<Secret>,
    /// What the pods have in common: a thousand of them need no room before they are created.
    pub(crate) template: Template,
    /// The metadata that the Services have in common.
    pub(crate) services: ObjectMeta,
    /// What was changed of the request, one sentence each.
    pub notes: Vec<String>,
}

/// An object of a plan, for one YAML stream of several kinds.
#[derive(Serialize)]
#[serde(untagged)]
enum Object {
    Secret(Box<Secret>),
    Service(Box<Service>),
    Pod(Box<Pod>),
}

impl Plan {
    /// The pods by rank, one after the other, as they are created once the owner Secret exists
    /// under this uid.
    pub fn pods(&self, owner_uid: &str) -> impl Iterator<Item = Pod> + Send {
        let mut template = self.template.clone();
        self.give_owner(template.metadata_mut(), owner_uid);
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
        self.give_owner(&mut metadata, owner_uid);
        self.named_ranks()
            .map(move |rank| service::of_rank(&self.cluster, metadata.clone(), rank))
    }

    /// The ranks whose pods have names: a single pod has nobody that would call it.
    fn named_ranks(&self) -> std::ops::Range<u32> {
        if self.record.num_nodes > 1 {
            self.ranks()
        } else {
            0..0
        }
    }

    fn ranks(&self) -> std::ops::Range<u32> {
        0..self.record.num_nodes
    }

    /// The further Secrets as they are created once the owner Secret exists under this uid.
    pub fn secrets(&self, owner_uid: &str) -> Vec<Secret> {
        let mut secrets = self.secrets.clone();
        for secret in &mut secrets {
            self.give_owner(&mut secret.metadata, owner_uid);
        }
        secrets
    }

    fn give_owner(&self, metadata: &mut ObjectMeta, uid: &str) {
        metadata.owner_references = Some(vec![OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Secret".to_owned(),
            name: self.cluster.to_string(),
            uid: uid.to_owned(),
            ..OwnerReference::default()
        }]);
    }

    /// All objects as one YAML stream, without the values of secrets.
    pub fn to_yaml(&self) -> String {
        let secrets = std::iter::once(&self.owner).chain(&self.secrets);
        let secrets = secrets.map(|secret| Object::Secret(Box::new(without_values(secret))));
        let services = self
            .named_ranks()
            .map(|rank| service::of_rank(&self.cluster, self.services.clone(), rank))
            .map(|service| Object::Service(Box::new(service)));
        let pods = self
            .ranks()
            .map(|rank| self.template.pod(&self.cluster, rank));
        let pods = pods.map(|pod| Object::Pod(Box::new(pod)));
        let text = |object| {
            let options = serde_saphyr::ser_options! { folded_wrap_chars: 4096 };
            serde_saphyr::to_string_with_options(&object, options)
                .expect("Kubernetes objects are always valid YAML")
        };
        let texts: Vec<String> = secrets.chain(services).chain(pods).map(text).collect();
        texts.join("---\n")
    }
}

/// A Secret as it may be shown: of its values only the record.
fn without_values(secret: &Secret) -> Secret {
    let mut shown = secret.clone();
    for (key, value) in shown.string_data.iter_mut().flatten() {
        if key != labels::RECORD_KEY {
            HIDDEN.clone_into(value);
        }
    }
    shown
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("cluster", &self.cluster)
            .field("objects", &self.to_yaml())
            .field("notes", &self.notes)
            .finish_non_exhaustive()
    }
}
