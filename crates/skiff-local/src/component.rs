//! The processes that a cluster consists of, and which of them must be started.
//!
//! Pure: whether one is alive is an argument.

use std::{fmt, path::PathBuf};

use serde::Serialize;

use crate::{controller, layout::Layout};

/// One process of a cluster. Nodes count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// The database.
    Etcd,
    /// kube-apiserver.
    ApiServer,
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// Skiff's own: what a bare Kubernetes lacks.
    Controller,
    /// The process that holds a node's network and mount namespaces.
    Sandbox(u8),
    /// A node's container runtime.
    Containerd(u8),
    /// A node's kubelet.
    Kubelet(u8),
    /// A node's kube-proxy.
    Proxy(u8),
}

impl Component {
    /// What is there once a cluster.
    pub(crate) const CONTROL_PLANE: [Self; 5] = [
        Self::Etcd,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Controller,
    ];

    /// What is there once a node.
    pub(crate) fn of_node(node: u8) -> [Self; 4] {
        [
            Self::Sandbox(node),
            Self::Containerd(node),
            Self::Kubelet(node),
            Self::Proxy(node),
        ]
    }

    /// The component's name without its node.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Controller => controller::NAME,
            Self::Sandbox(_) => "sandbox",
            Self::Containerd(_) => "containerd",
            Self::Kubelet(_) => "kubelet",
            Self::Proxy(_) => "kube-proxy",
        }
    }

    /// The node that it belongs to.
    pub fn node(self) -> Option<u8> {
        match self {
            Self::Sandbox(node)
            | Self::Containerd(node)
            | Self::Kubelet(node)
            | Self::Proxy(node) => Some(node),
            _ => None,
        }
    }

    fn file_name(self) -> String {
        self.node().map_or_else(
            || self.kind().to_owned(),
            |n| format!("node{n}-{}", self.kind()),
        )
    }

    /// The file with its pid.
    pub(crate) fn process_record(self, layout: &Layout) -> PathBuf {
        layout.processes().join(self.file_name())
    }

    /// The file with its output.
    pub(crate) fn log(self, layout: &Layout) -> PathBuf {
        layout.logs().join(format!("{}.log", self.file_name()))
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node() {
            Some(node) => write!(f, "{} of node {node}", self.kind()),
            None => f.write_str(self.kind()),
        }
    }
}

/// What has to be done for one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NodePlan {
    /// Its namespaces are gone: kill whatever is left of it and start everything.
    Rebuild,
    /// Its namespaces stand: start these, in this order.
    Start(Vec<Component>),
}

impl NodePlan {
    /// Decides for one node by what is alive.
    pub(crate) fn decide(node: u8, alive: impl Fn(Component) -> bool) -> Self {
        if !alive(Component::Sandbox(node)) {
            return Self::Rebuild;
        }
        let rest = Component::of_node(node).into_iter().skip(1);
        Self::Start(rest.filter(|component| !alive(*component)).collect())
    }

    /// Whether a component of the node has to be started.
    pub(crate) fn starts(&self, component: Component) -> bool {
        match self {
            Self::Rebuild => true,
            Self::Start(components) => components.contains(&component),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_node_needs_nothing() {
        assert_eq!(NodePlan::decide(1, |_| true), NodePlan::Start(Vec::new()));
    }

    #[test]
    fn a_dead_component_is_started_alone() {
        let plan = NodePlan::decide(2, |component| component != Component::Kubelet(2));
        assert_eq!(plan, NodePlan::Start(vec![Component::Kubelet(2)]));
        assert!(plan.starts(Component::Kubelet(2)) && !plan.starts(Component::Containerd(2)));
    }

    #[test]
    fn lost_namespaces_mean_a_rebuild() {
        let plan = NodePlan::decide(1, |component| component != Component::Sandbox(1));
        assert_eq!(plan, NodePlan::Rebuild);
        assert!(plan.starts(Component::Proxy(1)));
    }
}
