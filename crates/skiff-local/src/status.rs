//! `status`: what runs, what does not, and whether the nodes take pods.
//!
//! Reads only. Its types are what `-o json` prints.

use std::path::PathBuf;

use serde::Serialize;
use thiserror::Error;

use crate::{
    api::{Administrator, NodeState},
    cluster::Cluster,
    component::Component,
    machine::Machine,
    name::ClusterName,
    process,
    record::{ClusterRecord, RecordError},
};

/// How a cluster is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClusterState {
    /// Every component runs and every node takes pods.
    Ready,
    /// Some component or node is not as it should be; `up` repairs it.
    Degraded,
    /// Nothing of it runs, as after a reboot; `up` starts it.
    Stopped,
    /// It was taken down; only images are kept.
    Down,
}

/// A cluster and its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClusterStatus {
    /// Its name.
    pub name: ClusterName,
    /// How it is.
    pub state: ClusterState,
    /// Where its files are.
    pub folder: PathBuf,
    /// What was decided for it, unless it is down.
    #[serde(flatten)]
    pub details: Option<ClusterDetails>,
}

/// What is known of a cluster that is not down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClusterDetails {
    /// Version of Kubernetes.
    pub kubernetes: String,
    /// Its context.
    pub context: String,
    /// Where its API server listens.
    pub server: String,
    /// Its addresses.
    pub range: String,
    /// Whether pods reach what lies outside.
    pub egress: bool,
    /// Why the API server is not ready, if it is not.
    pub api_fault: Option<String>,
    /// Its nodes.
    pub nodes: Vec<NodeStatus>,
    /// Its processes.
    pub components: Vec<ComponentStatus>,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    /// Its name in Kubernetes.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Whether it takes pods.
    pub ready: bool,
    /// Why it does not, or the empty text.
    pub reason: String,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComponentStatus {
    /// What it is.
    pub name: &'static str,
    /// The name of the node that it belongs to.
    pub node: Option<String>,
    /// Its pid while it runs.
    pub pid: Option<u32>,
    /// Its log.
    pub log: PathBuf,
}

/// A cluster's status cannot be told.
#[derive(Debug, Error)]
pub enum StatusError {
    /// Its record cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// The status of one cluster; `None` when there is nothing of it.
pub async fn status(
    machine: &Machine,
    name: &ClusterName,
) -> Result<Option<ClusterStatus>, StatusError> {
    let layout = machine.layout(name);
    let folder = layout.root().to_owned();
    let Some(record) = ClusterRecord::read(&layout)? else {
        let down = ClusterState::Down;
        let status = ClusterStatus {
            name: name.clone(),
            state: down,
            folder,
            details: None,
        };
        return Ok(layout.root().exists().then_some(status));
    };
    let cluster = Cluster { layout, record };
    let components = components(&cluster);
    let (api_fault, nodes) = if components.iter().any(|component| component.pid.is_some()) {
        ask(&cluster).await
    } else {
        (
            Some("it does not run".to_owned()),
            nodes(&cluster, |_| None),
        )
    };
    Ok(Some(ClusterStatus {
        name: name.clone(),
        state: state(&components, api_fault.is_none(), &nodes),
        folder,
        details: Some(ClusterDetails {
            kubernetes: cluster.record.kubernetes.clone(),
            context: name.context(),
            server: cluster.server(),
            range: cluster.record.range.all().to_string(),
            egress: cluster.record.egress,
            api_fault,
            nodes,
            components,
        }),
    }))
}

fn components(cluster: &Cluster) -> Vec<ComponentStatus> {
    let status = |component: Component| ComponentStatus {
        name: component.kind(),
        node: component.node().map(|node| cluster.node(node).files.name),
        pid: process::running(&component.process_record(&cluster.layout)).map(|p| p.pid),
        log: component.log(&cluster.layout),
    };
    cluster.components().into_iter().map(status).collect()
}

/// Asks the API server: why it is not ready, and how the nodes are.
async fn ask(cluster: &Cluster) -> (Option<String>, Vec<NodeStatus>) {
    let administrator = match Administrator::connect(cluster).await {
        Ok(administrator) => administrator,
        Err(error) => return (Some(error.to_string()), nodes(cluster, |_| None)),
    };
    if let Err(fault) = administrator.ready().await {
        return (Some(fault), nodes(cluster, |_| None));
    }
    match administrator.nodes().await {
        Ok(found) => (None, nodes(cluster, |name| found.get(name).cloned())),
        Err(error) => (Some(error.to_string()), nodes(cluster, |_| None)),
    }
}

fn nodes(cluster: &Cluster, found: impl Fn(&str) -> Option<NodeState>) -> Vec<NodeStatus> {
    let unknown = || NodeState {
        ready: false,
        reason: "the API server does not know it".to_owned(),
    };
    let status = |node: crate::cluster::Node| {
        let state = found(&node.files.name).unwrap_or_else(unknown);
        NodeStatus {
            address: node.address.to_string(),
            name: node.files.name,
            ready: state.ready,
            reason: state.reason,
        }
    };
    cluster.nodes().into_iter().map(status).collect()
}

fn state(components: &[ComponentStatus], api: bool, nodes: &[NodeStatus]) -> ClusterState {
    if components.iter().all(|component| component.pid.is_none()) {
        ClusterState::Stopped
    } else if api
        && components.iter().all(|component| component.pid.is_some())
        && nodes.iter().all(|node| node.ready)
    {
        ClusterState::Ready
    } else {
        ClusterState::Degraded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state_of(pids: [Option<u32>; 2], api: bool, ready: bool) -> ClusterState {
        let component = |pid| ComponentStatus {
            name: "etcd",
            node: None,
            pid,
            log: PathBuf::new(),
        };
        let node = NodeStatus {
            name: String::new(),
            address: String::new(),
            ready,
            reason: String::new(),
        };
        state(&pids.map(component), api, &[node])
    }

    #[test]
    fn a_cluster_is_ready_only_as_a_whole() {
        assert_eq!(
            state_of([Some(1), Some(2)], true, true),
            ClusterState::Ready
        );
        assert_eq!(
            state_of([Some(1), None], true, true),
            ClusterState::Degraded
        );
        assert_eq!(
            state_of([Some(1), Some(2)], true, false),
            ClusterState::Degraded
        );
        assert_eq!(
            state_of([Some(1), Some(2)], false, true),
            ClusterState::Degraded
        );
        assert_eq!(state_of([None, None], false, false), ClusterState::Stopped);
    }
}
