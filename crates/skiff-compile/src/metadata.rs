//! Labels and annotations of what belongs to a cluster: Skiff's own, then the user's, and above
//! both what Skiff finds its objects by.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{ClusterName, Input, labels};

/// The longest value of a label.
const MAX_LABEL: usize = 63;

/// The metadata of an object of the cluster.
pub(crate) fn of(input: &Input<'_>, cluster: &ClusterName, name: String) -> ObjectMeta {
    let mut own = labels_of_all(cluster);
    let custom = &input.config.custom_metadata;
    own.extend(texts(&custom.labels));
    own.extend(identity(input, cluster));
    let mut annotations: BTreeMap<String, String> = texts(&custom.annotations).collect();
    annotations.insert(labels::DISPLAY_NAME.to_owned(), input.ids.cluster.clone());
    ObjectMeta {
        name: Some(name),
        namespace: Some(input.ids.namespace.clone()),
        labels: Some(own),
        annotations: Some(annotations),
        ..ObjectMeta::default()
    }
}

/// The metadata that the pods have in common; `configured` is what `pod_config` writes there.
pub(crate) fn of_pods(
    input: &Input<'_>,
    cluster: &ClusterName,
    configured: ObjectMeta,
) -> ObjectMeta {
    let container = labels::TASK_CONTAINER.to_owned();
    let mut metadata = of(input, cluster, String::new());
    let mut own = labels_of_all(cluster);
    own.extend(texts(&input.resources.labels));
    own.extend(configured.labels.unwrap_or_default());
    own.extend(metadata.labels.unwrap_or_default());
    // `SkyPilot`'s, for users' own selectors.
    own.extend(
        [
            ("parent", "skypilot"),
            ("skypilot-cluster-name", cluster.as_str()),
            ("skypilot-user", &label_value(&input.ids.user)),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    metadata.labels = Some(own);
    let default = (
        "kubectl.kubernetes.io/default-container".to_owned(),
        container,
    );
    let mut annotations = BTreeMap::from([default]);
    annotations.extend(configured.annotations.unwrap_or_default());
    annotations.extend(metadata.annotations.unwrap_or_default());
    metadata.annotations = Some(annotations);
    metadata
}

/// What tells a pod from the others.
pub(crate) fn rank_labels(rank: u32) -> [(String, String); 2] {
    let node_type = if rank == 0 { "head" } else { "worker" };
    [
        (labels::RANK.to_owned(), rank.to_string()),
        (labels::NODE_TYPE.to_owned(), node_type.to_owned()),
    ]
}

/// Labels by which other programs and people know whose an object is.
fn labels_of_all(cluster: &ClusterName) -> BTreeMap<String, String> {
    BTreeMap::from(
        [
            (labels::MANAGED_BY, labels::SKIFF),
            (labels::PART_OF, cluster.as_str()),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    )
}

/// Labels by which Skiff finds its objects.
fn identity(input: &Input<'_>, cluster: &ClusterName) -> [(String, String); 3] {
    [
        (labels::CLUSTER, cluster.as_str()),
        (labels::USER, &input.ids.user_hash),
        (labels::AGENT, &input.agent.hash),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
}

fn texts<'a>(
    texts: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> impl Iterator<Item = (String, String)> {
    let texts = texts.into_iter();
    texts.map(|(key, value)| (key.clone(), value.clone()))
}

/// What remains of a text as the value of a label; may be empty, which Kubernetes allows.
fn label_value(text: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric();
    let kept: String = text
        .chars()
        .map(|char| {
            if is_plain(char) || matches!(char, '-' | '_' | '.') {
                char
            } else {
                '-'
            }
        })
        .take(MAX_LABEL)
        .collect();
    kept.trim_matches(|char| !is_plain(char)).to_owned()
}
