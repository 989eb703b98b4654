//! The volumes of a namespace and how each is.

use std::fmt;

use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use skiff_compile::labels;
use skiff_kube::{ApiError, Cluster, quantity_bytes};

use super::{Phase, claim, usage};

/// Reasons of events that say of a claim that all is well: no pod has asked for its storage yet.
const WAITING_FOR_A_POD: [&str; 2] = ["WaitForFirstConsumer", "WaitForPodScheduled"];

/// The state of a volume, in SkyPilot's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VolumeState {
    /// It can be used.
    Ready,
    /// Pods use it.
    InUse,
    /// It cannot be used.
    NotReady,
}

impl fmt::Display for VolumeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ready => "READY",
            Self::InUse => "IN_USE",
            Self::NotReady => "NOT_READY",
        })
    }
}

/// One volume and how it is.
#[derive(Clone, Debug, Serialize)]
pub struct VolumeStatus {
    /// What it is called.
    pub name: String,
    /// Its kind, in SkyPilot's words.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What it asks for; `10Gi -> 20Gi` while it grows.
    pub size: String,
    /// Who made it.
    pub user: Option<String>,
    /// Eight hex digits that stand for that user.
    pub user_hash: Option<String>,
    /// When.
    #[serde(skip)]
    pub created: Option<Timestamp>,
    /// Its state.
    pub status: VolumeState,
    /// What there is to know of that.
    pub message: Option<String>,
    /// The clusters and pods that use it; None: unknown.
    pub used_by: Option<Vec<String>>,
    /// The pods that use it; None: unknown.
    pub pods: Option<Vec<String>>,
    /// Its claim.
    pub name_on_cloud: String,
    /// The claim's storage class.
    pub storage_class: Option<String>,
    /// How many nodes may use it at once.
    pub access_modes: Vec<String>,
    /// Whether its claim was there before, and stays when the volume is deleted.
    pub is_existing: bool,
}

/// Every volume of the namespace, by name. Pods and events that may not be read are unknown, not an error.
pub async fn list_volumes(cluster: &Cluster) -> Result<Vec<VolumeStatus>, ApiError> {
    let (claims, pods, events) = futures::join!(
        cluster.list::<PersistentVolumeClaim>(labels::VOLUME),
        cluster.list::<Pod>(""),
        cluster.list_where::<Event>("", "involvedObject.kind=PersistentVolumeClaim"),
    );
    let (pods, events) = (pods.ok(), events.unwrap_or_default());
    let mut volumes: Vec<VolumeStatus> = claims?
        .iter()
        .map(|claim| status(claim, pods.as_deref(), &events))
        .collect();
    volumes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(volumes)
}

fn status(claim: &PersistentVolumeClaim, pods: Option<&[Pod]>, events: &[Event]) -> VolumeStatus {
    let users = |pods| usage::users(claim, pods);
    let used_by = pods.map(|pods| {
        let mut owners: Vec<String> = users(pods).map(usage::owner).collect();
        owners.sort();
        owners.dedup();
        owners
    });
    let is_used = used_by.as_ref().is_some_and(|users| !users.is_empty());
    let (status, message) = state(claim, is_used, newest(claim, events));
    let own = |key| claim::annotation(claim, key).map(str::to_owned);
    VolumeStatus {
        name: claim::label(claim, labels::VOLUME)
            .unwrap_or_default()
            .to_owned(),
        kind: "k8s-pvc",
        size: size(claim),
        user: own(labels::USER_NAME),
        user_hash: claim::label(claim, labels::USER).map(str::to_owned),
        created: claim
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0),
        status,
        message,
        used_by,
        pods: pods.map(|pods| usage::names(users(pods))),
        name_on_cloud: claim::name(claim).to_owned(),
        storage_class: claim::class(claim)
            .filter(|class| !class.is_empty())
            .map(str::to_owned),
        access_modes: claim::access_modes(claim),
        is_existing: own(labels::EXISTING).is_some(),
    }
}

/// The newest event about a claim.
fn newest<'a>(claim: &PersistentVolumeClaim, events: &'a [Event]) -> Option<&'a Event> {
    let uid = claim.metadata.uid.as_ref();
    let about = events
        .iter()
        .filter(|event| event.involved_object.uid.as_ref() == uid);
    about.max_by_key(|event| {
        let last = event.last_timestamp.as_ref();
        last.or(event.first_timestamp.as_ref()).map(|time| time.0)
    })
}

/// A volume's state, and what there is to know of it.
fn state(
    claim: &PersistentVolumeClaim,
    is_used: bool,
    newest: Option<&Event>,
) -> (VolumeState, Option<String>) {
    let whole = if is_used {
        VolumeState::InUse
    } else {
        VolumeState::Ready
    };
    let told = newest.and_then(|event| event.message.clone());
    let reason = newest.and_then(|event| event.reason.as_deref());
    let is_warning = newest.is_some_and(|event| event.type_.as_deref() == Some("Warning"));
    match Phase::of(claim) {
        Phase::Deleting => (
            VolumeState::NotReady,
            Some("it is being deleted, once no pod uses it".to_owned()),
        ),
        Phase::Lost => (
            VolumeState::NotReady,
            Some("its storage is gone, and its data with it".to_owned()),
        ),
        // A resize that fails is told; the volume can be used all the same.
        Phase::Bound => (whole, told.filter(|_| is_warning)),
        Phase::Pending if claim::class(claim).is_none() && told.is_none() => (
            VolumeState::NotReady,
            Some("it has no storage class, and the cluster no default".to_owned()),
        ),
        // A class that waits for a pod says so within moments; without any word there is nothing wrong yet.
        Phase::Pending if reason.is_none_or(|reason| WAITING_FOR_A_POD.contains(&reason)) => {
            (whole, None)
        }
        Phase::Pending => (VolumeState::NotReady, told),
    }
}

/// What a claim asks for, and what it still has while it grows.
fn size(claim: &PersistentVolumeClaim) -> String {
    let (wants, has) = (claim::requested(claim), claim::capacity(claim));
    let bytes = |quantity: Option<&_>| quantity.and_then(quantity_bytes);
    match (wants, has) {
        (Some(wants), Some(has)) if bytes(Some(has)) < bytes(Some(wants)) => {
            format!("{} -> {}", has.0, wants.0)
        }
        (Some(wants), _) => wants.0.clone(),
        (None, _) => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn claim(phase: &str, change: Value) -> PersistentVolumeClaim {
        let mut claim = json!({
            "metadata": { "name": "data", "uid": "u", "labels": { "skiff.dev/volume": "data" } },
            "spec": { "storageClassName": "standard", "resources": { "requests": { "storage": "20Gi" } } },
            "status": { "phase": phase },
        });
        if let (Some(claim), Value::Object(change)) = (claim.as_object_mut(), change) {
            claim.extend(change);
        }
        serde_json::from_value(claim).expect("a claim")
    }

    fn event(kind: &str, reason: &str, second: u32) -> Event {
        serde_json::from_value(json!({
            "metadata": {}, "involvedObject": { "uid": "u" }, "type": kind, "reason": reason,
            "message": format!("{reason} happened"), "lastTimestamp": format!("2026-01-01T00:00:{second:02}Z"),
        }))
        .expect("an event")
    }

    fn of(claim: &PersistentVolumeClaim, events: &[Event]) -> (VolumeState, Option<String>) {
        let status = status(claim, Some(&[]), events);
        (status.status, status.message)
    }

    #[test]
    fn a_claim_that_waits_for_a_pod_is_ready() {
        let pending = claim("Pending", json!({}));
        let waits = event("Normal", "WaitForFirstConsumer", 1);
        assert_eq!(of(&pending, &[waits]), (VolumeState::Ready, None));
        assert_eq!(of(&pending, &[]), (VolumeState::Ready, None));
    }

    #[test]
    fn what_goes_wrong_is_told_in_the_words_of_the_newest_event() {
        let pending = claim("Pending", json!({}));
        let events = [
            event("Warning", "ProvisioningFailed", 9),
            event("Normal", "WaitForFirstConsumer", 1),
        ];
        let (state, message) = of(&pending, &events);
        assert_eq!(state, VolumeState::NotReady);
        assert_eq!(message.as_deref(), Some("ProvisioningFailed happened"));
        let (state, message) = of(&claim("Lost", json!({})), &[]);
        assert_eq!(state, VolumeState::NotReady);
        assert!(message.is_some());
    }

    #[test]
    fn a_claim_without_any_class_will_wait_for_ever() {
        let bare = claim("Pending", json!({ "spec": {} }));
        assert_eq!(of(&bare, &[]).0, VolumeState::NotReady);
    }

    #[test]
    fn a_resize_shows_both_sizes() {
        let growing = json!({ "status": { "phase": "Bound", "capacity": { "storage": "10Gi" } } });
        assert_eq!(size(&claim("Bound", growing)), "10Gi -> 20Gi");
        let rounded = json!({ "status": { "phase": "Bound", "capacity": { "storage": "21Gi" } } });
        assert_eq!(size(&claim("Bound", rounded)), "20Gi");
    }

    #[test]
    fn pods_that_have_ended_do_not_use_it() {
        let pod = |phase: &str| -> Pod {
            serde_json::from_value(json!({
                "metadata": { "name": phase }, "status": { "phase": phase },
                "spec": { "containers": [], "volumes": [{ "name": "d", "persistentVolumeClaim": { "claimName": "data" } }] },
            }))
            .expect("a pod")
        };
        let pods = [pod("Running"), pod("Succeeded"), pod("Pending")];
        let status = status(&claim("Bound", json!({})), Some(&pods), &[]);
        assert_eq!(status.status, VolumeState::InUse);
        assert_eq!(
            status.pods,
            Some(vec!["Running".to_owned(), "Pending".to_owned()])
        );
    }
}
