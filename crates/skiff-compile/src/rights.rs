//! What lets a cluster that takes itself down vanish wholly: an identity that may delete one object, the cluster's owner.
//!
//! No pod runs as this identity: its token goes to the head's agent alone, once somebody says when the cluster ends.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::nodes::give_owner;
use crate::{ClusterName, Nodes};

/// The API group of roles.
const RBAC: &str = "rbac.authorization.k8s.io";
/// Type of a Secret that Kubernetes fills with an identity's token.
const TOKEN_TYPE: &str = "kubernetes.io/service-account-token";
/// Annotation of such a Secret: whose token.
const TOKEN_OF: &str = "kubernetes.io/service-account.name";

/// The identity of a cluster's agent, all four objects of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Rights {
    /// The identity.
    pub account: ServiceAccount,
    /// What it may do.
    pub role: Role,
    /// That it may.
    pub binding: RoleBinding,
    /// Where Kubernetes puts its token, which goes with the Secret.
    pub token: Secret,
}

impl Rights {
    /// The name of these objects of the cluster of this Kubernetes name.
    pub fn name_for(cluster: &str) -> String {
        format!("{cluster}-autostop")
    }
}

impl Nodes {
    /// The identity by which the cluster takes itself down, as it is created once the owner Secret exists under this uid.
    pub fn rights(&self, owner_uid: &str) -> Rights {
        let mut metadata = self.services.clone();
        give_owner(&mut metadata, &self.cluster, owner_uid);
        rights(&self.cluster, metadata)
    }

    /// The same as it is shown, without an owner.
    pub(crate) fn shown_rights(&self) -> Rights {
        rights(&self.cluster, self.services.clone())
    }
}

fn rights(cluster: &ClusterName, mut metadata: ObjectMeta) -> Rights {
    let name = Rights::name_for(cluster.as_str());
    metadata.name = Some(name.clone());
    let account = ServiceAccount {
        metadata: metadata.clone(),
        // Should a pod be run as it: not even then.
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    };
    let role = Role {
        metadata: metadata.clone(),
        rules: Some(vec![PolicyRule {
            api_groups: Some(vec![String::new()]),
            resources: Some(vec!["secrets".to_owned()]),
            resource_names: Some(vec![cluster.to_string()]),
            verbs: vec!["delete".to_owned()],
            ..PolicyRule::default()
        }]),
    };
    let binding = RoleBinding {
        metadata: metadata.clone(),
        role_ref: RoleRef {
            api_group: Some(RBAC.to_owned()),
            kind: "Role".to_owned(),
            name: name.clone(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: name.clone(),
            namespace: metadata.namespace.clone(),
            ..Subject::default()
        }]),
    };
    let whose = BTreeMap::from([(TOKEN_OF.to_owned(), name)]);
    metadata.annotations.get_or_insert_default().extend(whose);
    let token = Secret {
        metadata,
        type_: Some(TOKEN_TYPE.to_owned()),
        ..Secret::default()
    };
    Rights {
        account,
        role,
        binding,
        token,
    }
}
