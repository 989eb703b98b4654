//! The objects that the controller and its users need in Kubernetes: made at every `up`.

use std::fmt::Debug;

use k8s_openapi::api::{
    rbac::v1::{ClusterRole, ClusterRoleBinding},
    storage::v1::StorageClass,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::NAME;

/// The name that the storage class calls its provisioner by.
pub(crate) const PROVISIONER: &str = "skiff.dev/host-path";
/// The storage class.
const CLASS: &str = "standard";
/// The mark of the class that claims get which name none.
const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

/// Makes what is missing. The storage class is left as it is once it is there: it may be changed.
pub(crate) async fn make(client: &Client) -> Result<(), kube::Error> {
    let roles = Api::<ClusterRole>::all(client.clone());
    let bindings = Api::<ClusterRoleBinding>::all(client.clone());
    tokio::try_join!(
        apply(&roles, typed(role())),
        apply(&bindings, typed(binding())),
        make_class(client),
    )?;
    Ok(())
}

async fn apply<K>(api: &Api<K>, object: K) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize,
{
    let params = PatchParams::apply(NAME).force();
    api.patch(&object.name_any(), &params, &Patch::Apply(&object))
        .await?;
    Ok(())
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
            rule("", &["persistentvolumeclaims", "persistentvolumes"], &watch),
            rule("storage.k8s.io", &["storageclasses"], &watch),
            rule("", &["persistentvolumes"], &["create", "delete"]),
            rule("", &["events"], &["create"]),
        ],
    })
}

fn binding() -> Value {
    let group = "rbac.authorization.k8s.io";
    json!({
        "metadata": {"name": NAME},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": NAME},
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
        let binding: ClusterRoleBinding = typed(binding());
        assert_eq!(role.name_any(), binding.role_ref.name);
        let class: StorageClass = typed(class(true));
        assert_eq!(class.annotations()[DEFAULT], "true");
    }

    #[test]
    fn nothing_may_be_read_or_changed_but_by_name() {
        let text = role().to_string();
        assert!(!text.contains('*') && !text.contains("secrets"), "{text}");
    }
}
