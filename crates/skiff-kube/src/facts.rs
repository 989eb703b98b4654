//! What the compiler must know of a cluster, read in one go.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, NodeRuntimeHandler};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::Api;
use kube::api::ListParams;
use skiff_compile::{Amounts, ClusterFacts, NodeFacts, Version};

use crate::patience::{READ, within};
use crate::{ApiError, Cluster};

/// What a version that cannot be read is taken for: the oldest Kubernetes that Skiff supports.
const OLDEST: Version = Version {
    major: 1,
    minor: 20,
};

impl Cluster {
    /// The server's version and the nodes, asked side by side. Nodes that may not be read are unknown, not an error.
    pub async fn facts(&self) -> Result<ClusterFacts, ApiError> {
        let nodes_api: Api<Node> = Api::all(self.client.clone());
        let params = ListParams::default();
        let (version, nodes) = tokio::join!(
            within(READ, self.client.apiserver_version()),
            within(READ, nodes_api.list(&params)),
        );
        let version = version
            .map_err(|error| self.failed("get", "the API server's version".to_owned(), &error))?;
        let nodes = nodes
            .ok()
            .map(|list| list.items.iter().map(node_facts).collect());
        Ok(ClusterFacts::new(
            parse_version(&version.git_version),
            nodes,
        ))
    }
}

fn node_facts(node: &Node) -> NodeFacts {
    let status = node.status.clone().unwrap_or_default();
    let info = status.node_info.unwrap_or_default();
    let ready = status
        .conditions
        .iter()
        .flatten()
        .any(|c| c.type_ == "Ready" && c.status == "True");
    NodeFacts {
        name: node.metadata.name.clone().unwrap_or_default(),
        ready,
        schedulable: !node
            .spec
            .as_ref()
            .and_then(|spec| spec.unschedulable)
            .unwrap_or(false),
        os: info.operating_system,
        architecture: info.architecture,
        kubelet: parse_version(&info.kubelet_version),
        user_namespaces: has_user_namespaces(status.runtime_handlers.as_deref()),
        capacity: amounts(status.capacity.as_ref()),
        allocatable: amounts(status.allocatable.as_ref()),
        labels: node.metadata.labels.clone().unwrap_or_default(),
        addresses: status
            .addresses
            .into_iter()
            .flatten()
            .map(|address| address.address)
            .collect(),
    }
}

/// Whether the handler of pods that name no runtime class gives them users of their own.
fn has_user_namespaces(handlers: Option<&[NodeRuntimeHandler]>) -> bool {
    let usual = |handler: &&NodeRuntimeHandler| handler.name.as_deref().unwrap_or("").is_empty();
    let features = handlers
        .unwrap_or_default()
        .iter()
        .find(usual)
        .and_then(|handler| handler.features.as_ref());
    features.and_then(|features| features.user_namespaces) == Some(true)
}

fn amounts(quantities: Option<&BTreeMap<String, Quantity>>) -> Amounts {
    let thousandths = |key: &str| {
        quantities
            .and_then(|map| map.get(key))
            .and_then(|quantity| thousandths(&quantity.0))
            .unwrap_or(0)
    };
    Amounts {
        milli_cpu: u64::try_from(thousandths("cpu")).unwrap_or(u64::MAX),
        bytes: u64::try_from(thousandths("memory") / 1000).unwrap_or(u64::MAX),
    }
}

/// Reads `v1.29.3-eks-1234` as 1.29.
fn parse_version(text: &str) -> Version {
    let mut numbers = text
        .trim_start_matches('v')
        .split(['.', '-', '+'])
        .map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Version { major, minor },
        _ => OLDEST,
    }
}

/// The bytes of a Kubernetes quantity, rounded down; None where it is not one.
pub fn quantity_bytes(quantity: &Quantity) -> Option<u64> {
    u64::try_from(quantity_thousandths(quantity)? / 1000).ok()
}

/// The thousandths of a Kubernetes quantity, rounded down; None where it is not one.
pub fn quantity_thousandths(quantity: &Quantity) -> Option<u128> {
    thousandths(&quantity.0)
}

/// A Kubernetes quantity in thousandths, rounded down; None where it is not one.
fn thousandths(quantity: &str) -> Option<u128> {
    let digits = quantity
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(quantity.len());
    let (number, suffix) = quantity.split_at(digits);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let scale = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let whole: u128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let fraction: u128 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    };
    let mantissa = whole.checked_mul(scale)?.checked_add(fraction)?;
    // Every suffix as thousandths of one, so that `m` needs no fraction.
    let unit: u128 = match suffix {
        "n" | "u" => return Some(0),
        "m" => 1,
        "" => 1_000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "T" => 1_000_000_000_000_000,
        "P" => 1_000_000_000_000_000_000,
        "Ki" => 1_000 << 10,
        "Mi" => 1_000 << 20,
        "Gi" => 1_000 << 30,
        "Ti" => 1_000 << 40,
        "Pi" => 1_000 << 50,
        exponent => {
            let power: u32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            10u128.checked_pow(power)?.checked_mul(1_000)?
        }
    };
    Some(mantissa.checked_mul(unit)? / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        let cases = [
            ("2", 2_000),
            ("1920m", 1_920),
            ("0.5", 500),
            ("8146164Ki", 8_146_164 * 1024 * 1000),
            ("16Gi", 16 * 1024 * 1024 * 1024 * 1000),
            ("1e3", 1_000_000),
            ("1.5G", 1_500_000_000_000),
        ];
        for (text, expected) in cases {
            assert_eq!(thousandths(text), Some(expected), "{text}");
        }
        assert_eq!(thousandths("2 cores"), None);
        assert_eq!(
            thousandths("99999999999999999999999999999999999999999"),
            None
        );
    }

    #[test]
    fn a_node_is_known_by_its_name_its_labels_and_every_address() {
        let node = serde_json::from_value(serde_json::json!({
            "metadata": { "name": "n1", "labels": { "pool": "batch" } },
            "status": { "addresses": [
                { "type": "InternalIP", "address": "10.0.0.1" },
                { "type": "ExternalIP", "address": "203.0.113.1" },
            ] },
        }));
        let facts = node_facts(&node.expect("a node"));
        assert_eq!(facts.name, "n1");
        assert_eq!(facts.labels["pool"], "batch");
        assert_eq!(facts.addresses, ["10.0.0.1", "203.0.113.1"]);
    }

    #[test]
    fn vendors_versions_are_read_and_others_taken_for_the_oldest() {
        assert_eq!(
            parse_version("v1.29.3-eks-036c24b"),
            Version {
                major: 1,
                minor: 29
            }
        );
        assert_eq!(
            parse_version("v1.31+"),
            Version {
                major: 1,
                minor: 31
            }
        );
        assert_eq!(parse_version("strange"), OLDEST);
    }
}
