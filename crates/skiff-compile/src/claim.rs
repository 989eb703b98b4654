//! Claims of volumes that each node of a cluster has for itself.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};

use crate::{ClusterName, Input, metadata, quantity};

/// What the claims of all nodes have in common, for so many bytes each.
pub(crate) fn of_nodes(
    input: &Input<'_>,
    cluster: &ClusterName,
    bytes: u64,
) -> PersistentVolumeClaim {
    let requests = BTreeMap::from([("storage".to_owned(), quantity::memory(bytes))]);
    PersistentVolumeClaim {
        metadata: metadata::of(input, cluster, String::new()),
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some(requests),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}

/// The claim of a rank, under this name.
pub(crate) fn of_rank(
    mut claim: PersistentVolumeClaim,
    name: String,
    rank: u32,
) -> PersistentVolumeClaim {
    claim.metadata.name = Some(name);
    let labels = claim.metadata.labels.get_or_insert_default();
    labels.extend(metadata::rank_labels(rank));
    claim
}
