//! A claim that is a volume: how it is written, and what is read of it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use skiff_compile::labels;
use skiff_kube::quantity_bytes;
use skiff_schema::{ClaimKind, Volume};

use crate::User;

/// Annotation that stood for the field of the class before Kubernetes 1.6, and still may.
const OLD_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// A new claim for a volume.
pub(super) fn new(volume: &Volume, claim: &ClaimKind, user: &User) -> PersistentVolumeClaim {
    let mut labels = own_labels(volume, user);
    labels.insert(labels::MANAGED_BY.to_owned(), labels::SKIFF.to_owned());
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(volume.name.clone()),
            labels: Some(labels),
            annotations: Some(own_annotations(user)),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec![claim.mode_of_new().to_owned()]),
            resources: claim.bytes.map(|bytes| VolumeResourceRequirements {
                requests: Some(storage(bytes)),
                ..VolumeResourceRequirements::default()
            }),
            storage_class_name: claim.storage_class.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}

/// What makes a claim that is there a volume.
pub(super) fn taken(volume: &Volume, user: &User) -> serde_json::Value {
    let mut annotations = own_annotations(user);
    annotations.insert(labels::EXISTING.to_owned(), "true".to_owned());
    serde_json::json!({ "metadata": { "labels": own_labels(volume, user), "annotations": annotations } })
}

/// What makes a volume a mere claim again.
pub(super) fn released() -> serde_json::Value {
    serde_json::json!({ "metadata": {
        "labels": { labels::VOLUME: null, labels::USER: null },
        "annotations": { labels::EXISTING: null, labels::USER_NAME: null },
    } })
}

/// The size of a claim as a change of it.
pub(super) fn resized(bytes: u64) -> serde_json::Value {
    serde_json::json!({ "spec": { "resources": { "requests": storage(bytes) } } })
}

fn own_labels(volume: &Volume, user: &User) -> BTreeMap<String, String> {
    let users = volume.labels.iter();
    let users = users.map(|(key, value)| (key.clone(), value.clone()));
    let own = [
        (labels::VOLUME, &volume.name),
        (labels::SKYPILOT_VOLUME, &volume.name),
        (labels::USER, &user.hash),
    ];
    let own = own.map(|(key, value)| (key.to_owned(), value.clone()));
    users.chain(own).collect()
}

fn own_annotations(user: &User) -> BTreeMap<String, String> {
    BTreeMap::from([(labels::USER_NAME.to_owned(), user.name.clone())])
}

fn storage(bytes: u64) -> BTreeMap<String, Quantity> {
    BTreeMap::from([("storage".to_owned(), Quantity(size_text(bytes)))])
}

/// `50Gi`, `50G`: the largest unit that is exact.
pub(super) fn size_text(bytes: u64) -> String {
    let units = [
        ("Gi", 1 << 30),
        ("G", 1_000_000_000),
        ("Mi", 1 << 20),
        ("M", 1_000_000),
    ];
    let exact = units.iter().find(|(_, unit)| bytes.is_multiple_of(*unit));
    exact.map_or_else(
        || bytes.to_string(),
        |(name, unit)| format!("{}{name}", bytes / unit),
    )
}

/// What a claim asks for.
pub(super) fn requested(claim: &PersistentVolumeClaim) -> Option<&Quantity> {
    let resources = claim.spec.as_ref()?.resources.as_ref()?;
    resources.requests.as_ref()?.get("storage")
}

/// What it has been given.
pub(super) fn capacity(claim: &PersistentVolumeClaim) -> Option<&Quantity> {
    claim.status.as_ref()?.capacity.as_ref()?.get("storage")
}

/// How many bytes it asks for.
pub(super) fn requested_bytes(claim: &PersistentVolumeClaim) -> Option<u64> {
    quantity_bytes(requested(claim)?)
}

/// How many nodes may use it at once.
pub(super) fn access_modes(claim: &PersistentVolumeClaim) -> Vec<String> {
    let spec = claim.spec.as_ref();
    spec.and_then(|spec| spec.access_modes.clone())
        .unwrap_or_default()
}

/// The storage class that it names; empty: it wants none; None: it has got none yet.
pub(super) fn class(claim: &PersistentVolumeClaim) -> Option<&str> {
    let spec = claim.spec.as_ref()?;
    let old = || annotation(claim, OLD_CLASS);
    spec.storage_class_name.as_deref().or_else(old)
}

pub(super) fn annotation<'a>(claim: &'a PersistentVolumeClaim, key: &str) -> Option<&'a str> {
    let annotations = claim.metadata.annotations.as_ref()?;
    annotations.get(key).map(String::as_str)
}

pub(super) fn label<'a>(claim: &'a PersistentVolumeClaim, key: &str) -> Option<&'a str> {
    let labels = claim.metadata.labels.as_ref()?;
    labels.get(key).map(String::as_str)
}

/// Its name in the namespace.
pub(super) fn name(claim: &PersistentVolumeClaim) -> &str {
    claim.metadata.name.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_exactly() {
        for (bytes, text) in [
            (50 << 30, "50Gi"),
            (50_000_000_000, "50G"),
            (1_500 << 20, "1500Mi"),
            (1_500_000_000, "1500M"),
            (1_000_000_001, "1000000001"),
        ] {
            assert_eq!(size_text(bytes), text);
            let read = quantity_bytes(&Quantity(size_text(bytes)));
            assert_eq!(read, Some(bytes), "{text}");
        }
    }
}
