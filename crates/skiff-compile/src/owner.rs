//! The Secret that is the cluster: its record, its lock, and the owner of all the rest.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{ClusterName, ClusterRecord, Input, labels, metadata};

pub(crate) fn owner(input: &Input<'_>, cluster: &ClusterName, record: &ClusterRecord) -> Secret {
    let mut annotations =
        BTreeMap::from([(labels::DISPLAY_NAME.to_owned(), input.ids.cluster.clone())]);
    if let Some(launching) = &input.ids.launching {
        annotations.insert(labels::LAUNCHING.to_owned(), launching.clone());
    }
    Secret {
        metadata: ObjectMeta {
            name: Some(cluster.to_string()),
            namespace: Some(input.ids.namespace.clone()),
            labels: Some(metadata::common_labels(input, cluster)),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        type_: Some(labels::OWNER_TYPE.to_owned()),
        // As text, so that `render` and a patch of it stay readable; the API server encodes it.
        string_data: Some(BTreeMap::from([(
            labels::RECORD_KEY.to_owned(),
            record.to_json(),
        )])),
        ..Secret::default()
    }
}
