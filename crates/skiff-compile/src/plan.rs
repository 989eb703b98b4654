//! The objects of one cluster.

use std::fmt;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use serde::Serialize;

use crate::nodes::give_owner;
use crate::{ClusterName, ClusterRecord, Nodes, labels};

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
    /// The pods and their names.
    pub nodes: Nodes,
    /// Hash of all of the task that its setup may depend on.
    pub preparation: String,
    /// Whether the task says that the cluster takes itself down, for which its agent gets a right where the user may
    /// give it: see [`Nodes::rights`].
    pub takes_itself_down: bool,
    /// What was changed of the request, one sentence each.
    pub notes: Vec<String>,
}

/// An object of a plan, for one YAML stream of several kinds.
#[derive(Serialize)]
#[serde(untagged)]
enum Object {
    Secret(Box<Secret>),
    Service(Box<Service>),
    Claim(Box<PersistentVolumeClaim>),
    Pod(Box<Pod>),
    Account(Box<ServiceAccount>),
    Role(Box<Role>),
    Binding(Box<RoleBinding>),
}

impl Plan {
    /// The further Secrets as they are created once the owner Secret exists under this uid.
    pub fn secrets(&self, owner_uid: &str) -> Vec<Secret> {
        let mut secrets = self.secrets.clone();
        for secret in &mut secrets {
            give_owner(&mut secret.metadata, &self.cluster, owner_uid);
        }
        secrets
    }

    /// All objects as one YAML stream, without the values of secrets.
    pub fn to_yaml(&self) -> String {
        let secrets = std::iter::once(&self.owner).chain(&self.secrets);
        let secrets = secrets.map(|secret| Object::Secret(Box::new(without_values(secret))));
        let services = self.nodes.shown_services();
        let services = services.map(|service| Object::Service(Box::new(service)));
        let claims = self.nodes.shown_claims();
        let claims = claims.map(|claim| Object::Claim(Box::new(claim)));
        let pods = self.nodes.shown_pods();
        let pods = pods.map(|pod| Object::Pod(Box::new(pod)));
        let text = |object| {
            let options = serde_saphyr::ser_options! { folded_wrap_chars: 4096 };
            serde_saphyr::to_string_with_options(&object, options)
                .expect("Kubernetes objects are always valid YAML")
        };
        let rights = self.takes_itself_down.then(|| self.nodes.shown_rights());
        let rights = rights.into_iter().flat_map(|rights| {
            [
                Object::Account(Box::new(rights.account)),
                Object::Role(Box::new(rights.role)),
                Object::Binding(Box::new(rights.binding)),
                Object::Secret(Box::new(rights.token)),
            ]
        });
        let texts: Vec<String> = secrets
            .chain(services)
            .chain(claims)
            .chain(pods)
            .chain(rights)
            .map(text)
            .collect();
        texts.join("---\n")
    }
}

/// A Secret as it may be shown: of its values only the record. The nodes are shown as the objects that they become.
fn without_values(secret: &Secret) -> Secret {
    let mut shown = secret.clone();
    if let Some(texts) = &mut shown.string_data {
        texts.remove(labels::NODES_KEY);
    }
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
