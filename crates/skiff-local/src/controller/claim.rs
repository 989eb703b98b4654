//! What becomes of one claim: nothing, a volume on a node, or a refusal.
//!
//! Pure: the claim, its class and the nodes' folders are arguments.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use k8s_openapi::{
    api::{
        core::v1::{
            HostPathVolumeSource, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm,
            ObjectReference, PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec,
            VolumeNodeAffinity,
        },
        storage::v1::StorageClass,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use thiserror::Error;

use super::rights::PROVISIONER;

/// Where Kubernetes writes which provisioner a claim waits for, by its newer and its older name.
const WAITS_FOR: [&str; 2] = [
    "volume.kubernetes.io/storage-provisioner",
    "volume.beta.kubernetes.io/storage-provisioner",
];
/// Where the scheduler writes the node that the claim's first pod goes to.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// Where claims named their class before they had a field for it.
const CLASS: &str = "volume.beta.kubernetes.io/storage-class";
/// What says which provisioner made a volume.
pub(super) const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// The label that every node has, with its name.
const NODE_LABEL: &str = "kubernetes.io/hostname";

/// Why a claim gets no volume.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Refusal {
    #[error("node {0} is no node of this cluster")]
    Node(String),
    #[error("volumes of this class are folders, and cannot be block devices")]
    Block,
    #[error("a volume is made new for every claim of this class, and cannot be selected by labels")]
    Selector,
    #[error("a volume of this class is made empty, and cannot be made from a snapshot or a claim")]
    Source,
}

/// What is to be done for a claim.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// It is another's, bound, or waits for its first pod.
    Leave,
    /// It gets no volume.
    Refuse(Refusal),
    /// It gets this one.
    Provision(Box<PersistentVolume>),
}

/// The name of the volume that a claim gets.
pub(super) fn volume_name(claim: &PersistentVolumeClaim) -> Option<String> {
    Some(format!("pvc-{}", claim.metadata.uid.as_deref()?))
}

/// Decides on a claim. `nodes` has the folder for the volumes of each node, by the node's name.
pub(super) fn judge(
    claim: &PersistentVolumeClaim,
    class: impl Fn(&str) -> Option<StorageClass>,
    nodes: &BTreeMap<String, PathBuf>,
) -> Verdict {
    let Some(class) = wanted_class(claim).and_then(class) else {
        return Verdict::Leave;
    };
    if class.provisioner != PROVISIONER {
        return Verdict::Leave;
    }
    if let Some(refusal) = impossible(claim) {
        return Verdict::Refuse(refusal);
    }
    // A class of the user's own may bind at once: then the first node is as good as any.
    let node = annotation(claim, SELECTED_NODE).or_else(|| nodes.keys().next().map(String::as_str));
    let Some(node) = node else {
        return Verdict::Leave;
    };
    match (nodes.get(node), volume_name(claim)) {
        (Some(folder), Some(name)) => {
            Verdict::Provision(Box::new(volume(claim, &class, node, &folder.join(name))))
        }
        (None, _) => Verdict::Refuse(Refusal::Node(node.to_owned())),
        (_, None) => Verdict::Leave,
    }
}

/// The class of a claim that Kubernetes wants this provisioner to make a volume for.
fn wanted_class(claim: &PersistentVolumeClaim) -> Option<&str> {
    let spec = claim.spec.as_ref()?;
    let bound = spec
        .volume_name
        .as_ref()
        .is_some_and(|name| !name.is_empty());
    if bound || claim.metadata.deletion_timestamp.is_some() {
        return None;
    }
    WAITS_FOR
        .iter()
        .any(|key| annotation(claim, key) == Some(PROVISIONER))
        .then(|| annotation(claim, CLASS).or(spec.storage_class_name.as_deref()))?
}

fn annotation<'c>(claim: &'c PersistentVolumeClaim, key: &str) -> Option<&'c str> {
    let annotations = claim.metadata.annotations.as_ref()?;
    annotations.get(key).map(String::as_str)
}

fn impossible(claim: &PersistentVolumeClaim) -> Option<Refusal> {
    let spec = claim.spec.as_ref()?;
    if spec.volume_mode.as_deref() == Some("Block") {
        Some(Refusal::Block)
    } else if spec.selector.is_some() {
        Some(Refusal::Selector)
    } else if spec.data_source.is_some() || spec.data_source_ref.is_some() {
        Some(Refusal::Source)
    } else {
        None
    }
}

fn volume(
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
    node: &str,
    folder: &Path,
) -> PersistentVolume {
    let spec = claim.spec.clone().unwrap_or_default();
    let requests = spec.resources.and_then(|resources| resources.requests);
    let marks = [(PROVISIONED_BY.to_owned(), PROVISIONER.to_owned())];
    PersistentVolume {
        metadata: ObjectMeta {
            name: volume_name(claim),
            annotations: Some(marks.into()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            access_modes: spec.access_modes,
            // A folder has no size of its own: this is what was asked for, not a limit.
            capacity: requests,
            claim_ref: Some(ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("PersistentVolumeClaim".to_owned()),
                namespace: claim.metadata.namespace.clone(),
                name: claim.metadata.name.clone(),
                uid: claim.metadata.uid.clone(),
                ..ObjectReference::default()
            }),
            host_path: Some(HostPathVolumeSource {
                path: folder.to_string_lossy().into_owned(),
                type_: Some("Directory".to_owned()),
            }),
            mount_options: class.mount_options.clone(),
            node_affinity: Some(only(node)),
            persistent_volume_reclaim_policy: class.reclaim_policy.clone(),
            storage_class_name: class.metadata.name.clone(),
            volume_mode: Some("Filesystem".to_owned()),
            ..PersistentVolumeSpec::default()
        }),
        status: None,
    }
}

fn only(node: &str) -> VolumeNodeAffinity {
    VolumeNodeAffinity {
        required: Some(NodeSelector {
            node_selector_terms: vec![NodeSelectorTerm {
                match_expressions: Some(vec![NodeSelectorRequirement {
                    key: NODE_LABEL.to_owned(),
                    operator: "In".to_owned(),
                    values: Some(vec![node.to_owned()]),
                }]),
                ..NodeSelectorTerm::default()
            }],
        }),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(crate) fn claim(changes: &Value) -> PersistentVolumeClaim {
        let mut claim = json!({
            "metadata": {
                "name": "home",
                "namespace": "default",
                "uid": "u-1",
                "annotations": {WAITS_FOR[1]: PROVISIONER, SELECTED_NODE: "local-2"},
            },
            "spec": {
                "storageClassName": "standard",
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "5Gi"}},
            },
        });
        merge(&mut claim, changes);
        serde_json::from_value(claim).unwrap()
    }

    /// A merge patch: null removes.
    pub(crate) fn merge(target: &mut Value, changes: &Value) {
        let Value::Object(changes) = changes else {
            target.clone_from(changes);
            return;
        };
        for (key, change) in changes {
            match change {
                Value::Null => drop(target.as_object_mut().unwrap().remove(key)),
                change => merge(&mut target[key], change),
            }
        }
    }

    pub(crate) fn class(name: &str) -> Option<StorageClass> {
        let provisioner = match name {
            "standard" => PROVISIONER,
            "other" => "example.com/other",
            _ => return None,
        };
        let class = json!({
            "metadata": {"name": name}, "provisioner": provisioner, "reclaimPolicy": "Retain",
        });
        Some(serde_json::from_value(class).unwrap())
    }

    pub(crate) fn nodes() -> BTreeMap<String, PathBuf> {
        ["1", "2"]
            .map(|node| {
                (
                    format!("local-{node}"),
                    format!("/s/nodes/{node}/volumes").into(),
                )
            })
            .into()
    }

    fn verdict(changes: &Value) -> Verdict {
        judge(&claim(changes), class, &nodes())
    }

    #[test]
    fn a_claim_gets_a_folder_of_the_node_that_its_pod_goes_to() {
        let Verdict::Provision(volume) = verdict(&json!({})) else {
            panic!("no volume")
        };
        let volume = serde_json::to_value(volume).unwrap();
        let spec = &volume["spec"];
        assert_eq!(volume["metadata"]["name"], "pvc-u-1");
        assert_eq!(spec["hostPath"]["path"], "/s/nodes/2/volumes/pvc-u-1");
        assert_eq!(spec["capacity"]["storage"], "5Gi");
        assert_eq!(spec["accessModes"], json!(["ReadWriteOnce"]));
        assert_eq!(spec["persistentVolumeReclaimPolicy"], "Retain");
        assert_eq!(spec["claimRef"]["uid"], "u-1");
        let node = &spec["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0];
        assert_eq!(node["values"], json!(["local-2"]));
    }

    #[test]
    fn a_class_that_binds_at_once_gets_the_first_node() {
        let unscheduled = json!({"metadata": {"annotations": {SELECTED_NODE: null}}});
        let Verdict::Provision(volume) = verdict(&unscheduled) else {
            panic!("no volume")
        };
        let path = volume.spec.unwrap().host_path.unwrap().path;
        assert_eq!(path, "/s/nodes/1/volumes/pvc-u-1");
    }

    #[test]
    fn the_old_annotation_of_the_class_is_read() {
        let old = json!({
            "metadata": {"annotations": {CLASS: "standard"}}, "spec": {"storageClassName": null},
        });
        assert!(matches!(verdict(&old), Verdict::Provision(_)));
    }

    #[test]
    fn claims_that_are_not_this_provisioners_are_left_alone() {
        for changes in [
            json!({"spec": {"storageClassName": "other"}}),
            json!({"spec": {"storageClassName": "unknown"}}),
            json!({"spec": {"storageClassName": null}}),
            json!({"spec": {"volumeName": "pv-1"}}),
            json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
            json!({"metadata": {"annotations": {WAITS_FOR[1]: "example.com/other"}}}),
            json!({"metadata": {"annotations": {WAITS_FOR[1]: null}}}),
        ] {
            assert_eq!(verdict(&changes), Verdict::Leave, "{changes}");
        }
    }

    #[test]
    fn what_a_folder_cannot_be_is_refused() {
        let elsewhere = json!({"metadata": {"annotations": {SELECTED_NODE: "../x"}}});
        for (changes, refusal) in [
            (elsewhere, Refusal::Node("../x".to_owned())),
            (json!({"spec": {"volumeMode": "Block"}}), Refusal::Block),
            (
                json!({"spec": {"selector": {"matchLabels": {"a": "b"}}}}),
                Refusal::Selector,
            ),
            (
                json!({"spec": {"dataSource": {"kind": "VolumeSnapshot", "name": "x"}}}),
                Refusal::Source,
            ),
        ] {
            assert_eq!(verdict(&changes), Verdict::Refuse(refusal), "{changes}");
        }
    }
}
