//! The objects that the controller and its users need in Kubernetes: made at every `up`.

use std::{fmt::Debug, time::Duration};

use k8s_openapi::api::{
    rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
    storage::v1::StorageClass,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    NAME,
    dns::service::{NAMESPACE, SERVICE},
};

/// The name that the storage class calls its provisioner by.
pub(crate) const PROVISIONER: &str = "skiff.dev/host-path";
/// The storage class.
const CLASS: &str = "standard";
/// The mark of the class that claims get which name none.
const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

/// Pause before the API server's own namespace is looked for again.
const ASK_AGAIN: Duration = Duration::from_millis(25);

/// Makes what is missing; waits for the namespace of the system. The storage class is left as it is once it is there: it may be changed.
pub(crate) async fn make(client: &Client) -> Result<(), kube::Error> {
    let roles = Api::<ClusterRole>::all(client.clone());
    let bindings = Api::<ClusterRoleBinding>::all(client.clone());
    let system_roles = Api::<Role>::namespaced(client.clone(), NAMESPACE);
    let system_bindings = Api::<RoleBinding>::namespaced(client.clone(), NAMESPACE);
    tokio::try_join!(
        apply(&roles, typed(role())),
        apply(&bindings, typed(binding("ClusterRole"))),
        apply(&system_roles, typed(system_role())),
        apply(&system_bindings, typed(binding("Role"))),
        make_class(client),
    )?;
    Ok(())
}

async fn apply<K>(api: &Api<K>, object: K) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize,
{
    let params = PatchParams::apply(NAME).force();
    let patch = Patch::Apply(&object);
    loop {
        match api.patch(&object.name_any(), &params, &patch).await {
            // A server that has just started has not made its own namespaces yet.
            Err(kube::Error::Api(status)) if status.is_not_found() => sleep(ASK_AGAIN).await,
            applied => return applied.map(drop),
        }
    }
}

async fn make_class(client: &Client) -> Result<(), kube::Error> {
    let api = Api::<StorageClass>::all(client.clone());
    let classes = api.list(&ListParams::default()).await?.items;
    if classes.iter().any(|class| class.name_any() == CLASS) {
        return Ok(());
    }
    let marked = |class: &StorageClass| {
        class
            .annotations()
            .get(DEFAULT)
            .is_some_and(|v| v == "true")
    };
    let class = class(!classes.iter().any(marked));
    match api.create(&PostParams::default(), &typed(class)).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        made => made.map(drop),
    }
}

fn typed<K: DeserializeOwned>(object: Value) -> K {
    serde_json::from_value(object).expect("the object is of this type, as the tests show")
}

/// What the controller may do.
fn role() -> Value {
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
    let watch = ["list", "watch"];
    json!({
        "metadata": {"name": NAME},
        "rules": [
            rule("", &["services", "endpoints", "namespaces"], &watch),
            rule("", &["persistentvolumeclaims", "persistentvolumes"], &watch),
            rule("storage.k8s.io", &["storageclasses"], &watch),
            rule("", &["persistentvolumes"], &["create", "delete"]),
            rule("", &["events"], &["create"]),
        ],
    })
}

/// What it may do in the namespace of the system. Which object is made cannot be limited by name.
fn system_role() -> Value {
    let resources = ["services", "endpoints"];
    json!({
        "metadata": {"name": NAME},
        "rules": [
            {"apiGroups": [""], "resources": resources, "verbs": ["create"]},
            {"apiGroups": [""], "resources": resources, "verbs": ["patch"], "resourceNames": [SERVICE]},
        ],
    })
}

fn binding(kind: &str) -> Value {
    let group = "rbac.authorization.k8s.io";
    json!({
        "metadata": {"name": NAME},
        "roleRef": {"apiGroup": group, "kind": kind, "name": NAME},
        "subjects": [{"apiGroup": group, "kind": "User", "name": NAME}],
    })
}

/// A pod's node is chosen before its volume is made there.
fn class(default: bool) -> Value {
    json!({
        "metadata": {"name": CLASS, "annotations": {DEFAULT: default.to_string()}},
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_objects_are_of_their_types() {
        let role: ClusterRole = typed(role());
        let bound: ClusterRoleBinding = typed(binding("ClusterRole"));
        assert_eq!(role.name_any(), bound.role_ref.name);
        let role: Role = typed(system_role());
        let bound: RoleBinding = typed(binding("Role"));
        assert_eq!(role.name_any(), bound.role_ref.name);
        let class: StorageClass = typed(class(true));
        assert_eq!(class.annotations()[DEFAULT], "true");
    }

    #[test]
    fn every_right_is_named_and_none_is_to_secrets() {
        let text = format!("{}{}", role(), system_role());
        assert!(!text.contains('*') && !text.contains("secrets"), "{text}");
    }
}
