//! The Secret that is the cluster: its record, its lock, and the owner of all the rest.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;

use crate::{ClusterName, ClusterRecord, Input, Nodes, hooks, labels, metadata};

pub(crate) fn owner(
    input: &Input<'_>,
    cluster: &ClusterName,
    record: &ClusterRecord,
    nodes: &Nodes,
) -> Secret {
    let mut metadata = metadata::of(input, cluster, cluster.to_string());
    if let Some(launching) = &input.ids.launching {
        metadata
            .annotations
            .get_or_insert_default()
            .insert(labels::LAUNCHING.to_owned(), launching.clone());
    }
    // As text, so that `render` and a patch of it stay readable; the API server encodes it.
    let mut texts = BTreeMap::from([
        (labels::RECORD_KEY.to_owned(), record.to_json()),
        (labels::CLUSTER_KEY.to_owned(), input.ids.key.to_hex()),
        (labels::NODES_KEY.to_owned(), nodes.to_json()),
    ]);
    let secrets: BTreeMap<&str, &str> = input.task.secrets.reveal().collect();
    if !secrets.is_empty() {
        let json = serde_json::to_string(&secrets).expect("texts are always valid JSON");
        texts.insert(labels::SECRETS_KEY.to_owned(), json);
    }
    if let Some(hooks) = hooks::of(input.task) {
        let json = serde_json::to_string(&hooks).expect("texts are always valid JSON");
        texts.insert(labels::HOOKS_KEY.to_owned(), json);
    }
    Secret {
        metadata,
        type_: Some(labels::OWNER_TYPE.to_owned()),
        string_data: Some(texts),
        ..Secret::default()
    }
}
