//! Who uses a volume.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use skiff_compile::labels;

use super::claim;

/// The pods that have a claim mounted, or wait for it; those that have ended do not count.
pub(super) fn users<'a>(
    claim: &PersistentVolumeClaim,
    pods: &'a [Pod],
) -> impl Iterator<Item = &'a Pod> {
    let name = claim::name(claim).to_owned();
    pods.iter()
        .filter(move |pod| !has_ended(pod) && mounts(pod, &name))
}

/// The names of pods.
pub(super) fn names<'a>(pods: impl Iterator<Item = &'a Pod>) -> Vec<String> {
    pods.filter_map(|pod| pod.metadata.name.clone()).collect()
}

/// The cluster that a pod is a node of, as its user calls it; else the pod itself.
pub(super) fn owner(pod: &Pod) -> String {
    let annotations = pod.metadata.annotations.as_ref();
    let cluster = annotations.and_then(|all| all.get(labels::DISPLAY_NAME));
    cluster
        .or(pod.metadata.name.as_ref())
        .cloned()
        .unwrap_or_default()
}

fn has_ended(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn mounts(pod: &Pod, name: &str) -> bool {
    let volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    volumes
        .filter_map(|volume| volume.persistent_volume_claim.as_ref())
        .any(|source| source.claim_name == name)
}
