//! One cluster: its record, its files, and the names and addresses that follow from both.
//!
//! Pure. What is decided here is decided once, and everything else asks.

use std::net::Ipv4Addr;

use crate::{
    component::Component,
    layout::{Layout, NodeLayout},
    record::ClusterRecord,
    version::Version,
};

/// A cluster that was decided on, whether or not any of it runs.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) layout: Layout,
    pub(crate) record: ClusterRecord,
}

impl Cluster {
    /// One node with its addresses.
    pub(crate) fn node(&self, index: u8) -> Node {
        Node {
            index,
            address: self.record.range.node_address(index),
            files: self.layout.node(index),
        }
    }

    /// All nodes in order.
    pub(crate) fn nodes(&self) -> Vec<Node> {
        (1..=self.record.nodes)
            .map(|index| self.node(index))
            .collect()
    }

    /// Where clients reach the API server.
    pub(crate) fn server(&self) -> String {
        format!(
            "https://{}:{}",
            self.record.range.host_address(),
            self.record.ports.api
        )
    }

    /// The version of Kubernetes, which was checked when the record was made.
    pub(crate) fn version(&self) -> Version {
        Version::find(&self.record.kubernetes).unwrap_or(Version::OLDEST_KUBERNETES)
    }

    /// Every component, the control plane first.
    pub(crate) fn components(&self) -> Vec<Component> {
        let nodes = (1..=self.record.nodes).flat_map(Component::of_node);
        Component::CONTROL_PLANE.into_iter().chain(nodes).collect()
    }
}

/// A node of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Counts from 1.
    pub(crate) index: u8,
    pub(crate) address: Ipv4Addr,
    pub(crate) files: NodeLayout,
}
