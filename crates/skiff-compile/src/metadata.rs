//! Labels and annotations of what belongs to a cluster.

use std::collections::BTreeMap;

use crate::{ClusterName, Input, labels};

/// The longest value of a label.
const MAX_LABEL: usize = 63;

/// Labels of every object of the cluster.
pub(crate) fn common_labels(input: &Input<'_>, cluster: &ClusterName) -> BTreeMap<String, String> {
    BTreeMap::from(
        [
            (labels::MANAGED_BY, labels::SKIFF),
            (labels::PART_OF, cluster.as_str()),
            (labels::CLUSTER, cluster.as_str()),
            (labels::USER, &input.ids.user_hash),
            (labels::AGENT, &input.agent.hash),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    )
}

/// Labels of the pod of a rank: those above, its rank, and `SkyPilot`'s for users' own selectors.
pub(crate) fn pod_labels(
    input: &Input<'_>,
    cluster: &ClusterName,
    rank: u32,
) -> BTreeMap<String, String> {
    let node_type = if rank == 0 { "head" } else { "worker" };
    let own = [
        (labels::RANK, rank.to_string()),
        ("parent", "skypilot".to_owned()),
        ("skypilot-cluster-name", cluster.to_string()),
        ("skypilot-user", label_value(&input.ids.user)),
        ("ray-node-type", node_type.to_owned()),
    ];
    let mut labels = common_labels(input, cluster);
    labels.extend(own.map(|(key, value)| (key.to_owned(), value)));
    labels
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
