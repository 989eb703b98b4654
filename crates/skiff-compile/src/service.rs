//! Names between the nodes of a cluster: one headless Service a pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{ClusterName, labels, metadata};

/// The Service of a rank, named as its pod; `metadata` is what all have in common.
pub(crate) fn of_rank(cluster: &ClusterName, mut metadata: ObjectMeta, rank: u32) -> Service {
    metadata.name = Some(cluster.pod(rank));
    metadata
        .labels
        .get_or_insert_default()
        .extend(metadata::rank_labels(rank));
    let selector = [
        (labels::CLUSTER.to_owned(), cluster.to_string()),
        (labels::RANK.to_owned(), rank.to_string()),
    ];
    Service {
        metadata,
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            selector: Some(BTreeMap::from(selector)),
            // Nodes look for each other while they start.
            publish_not_ready_addresses: Some(true),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}
