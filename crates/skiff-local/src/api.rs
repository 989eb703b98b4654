//! The API server as a client sees it: ready or not, and the conditions that `up` waits for.

use std::{collections::BTreeMap, fmt::Debug, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::{StreamExt, pin_mut};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Endpoints, Node, ServiceAccount};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{ListParams, WatchEvent, WatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    cluster::Cluster,
    controller::{self, dns::service, rights},
    file::{self, FileError},
    kubeconfig::Entry,
    pki::Pki,
    settings,
    version::Version,
};

/// Pause between two questions to a server that is starting.
const ASK_AGAIN: Duration = Duration::from_millis(25);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// The API server cannot be spoken to.
#[derive(Debug, Error)]
pub enum ApiError {
    /// The administrator's kubeconfig cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A kubeconfig cannot be used.
    #[error("cannot use the kubeconfig of {0}")]
    Kubeconfig(String, #[source] Box<kube::config::KubeconfigError>),
    /// A client cannot be made of it.
    #[error("cannot make a client for the cluster")]
    Client(#[source] Box<kube::Error>),
    /// The controller's rights or the storage class cannot be made.
    #[error("cannot make the objects of the cluster's controller")]
    Rights(#[source] Box<kube::Error>),
}

/// A client with the rights that one of the cluster's kubeconfigs gives.
pub(crate) async fn client(cluster: &Cluster, name: &str) -> Result<Client, ApiError> {
    let path = settings::kubeconfig_path(cluster, name);
    let unusable = |error| ApiError::Kubeconfig(name.to_owned(), Box::new(error));
    let kubeconfig = Kubeconfig::read_from(&path).map_err(unusable)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(unusable)?;
    // The bridge is on this machine: no proxy of the user's leads to it.
    config.proxy_url = None;
    Client::try_from(config).map_err(|error| ApiError::Client(Box::new(error)))
}

/// What is known of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeState {
    pub(crate) ready: bool,
    /// Why it is not ready, or the empty text.
    pub(crate) reason: String,
}

/// A client with the administrator's rights.
#[derive(Clone)]
pub(crate) struct Administrator {
    client: Client,
}

impl Administrator {
    pub(crate) async fn connect(cluster: &Cluster) -> Result<Self, ApiError> {
        let client = client(cluster, "admin").await?;
        Ok(Self { client })
    }

    /// Makes what the controller works with.
    pub(crate) async fn make_rights(&self) -> Result<(), ApiError> {
        let made = rights::make(&self.client).await;
        made.map_err(|error| ApiError::Rights(Box::new(error)))
    }

    /// Whether the server says that it is ready; `Err` says what it says instead.
    pub(crate) async fn ready(&self) -> Result<(), String> {
        let request = http::Request::get("/readyz")
            .body(Vec::new())
            .expect("the path is fixed");
        match timeout(ANSWER, self.client.request_text(request)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("it does not answer".to_owned()),
        }
    }

    /// Waits until the server is ready; `state` receives the last answer.
    pub(crate) async fn wait_ready(&self, state: &watch::Sender<String>) {
        while let Err(answer) = self.ready().await {
            state.send_replace(format!("the API server is not ready: {answer}"));
            sleep(ASK_AGAIN).await;
        }
    }

    /// The state of every node that has registered, by name.
    pub(crate) async fn nodes(&self) -> Result<BTreeMap<String, NodeState>, kube::Error> {
        let api = Api::<Node>::all(self.client.clone());
        let nodes = api.list(&ListParams::default()).await?;
        Ok(nodes
            .iter()
            .map(|node| (node.name_any(), node_state(node)))
            .collect())
    }

    /// Waits until all these nodes take pods. What a node said before the time beside its name, when
    /// another kubelet spoke for it, does not count.
    pub(crate) async fn wait_nodes(
        &self,
        names: &[(String, Option<Timestamp>)],
        state: &watch::Sender<String>,
    ) {
        let api = Api::<Node>::all(self.client.clone());
        wait_for(&api, state, |found| {
            let pending = names.iter().find_map(|(name, since)| {
                let Some(node) = found.get(name) else {
                    return Some(format!("node {name} has not registered"));
                };
                if since.is_some_and(|since| !has_reported(node, since)) {
                    return Some(format!("node {name} has not reported since it was started"));
                }
                let NodeState { ready, reason } = node_state(node);
                (!ready).then(|| format!("node {name} is not ready: {reason}"))
            });
            pending.map_or(Ok(()), Err)
        })
        .await;
    }

    /// Waits until pods are led to who answers for names.
    pub(crate) async fn wait_names(&self, state: &watch::Sender<String>) {
        let api = Api::<Endpoints>::namespaced(self.client.clone(), service::NAMESPACE);
        wait_for(&api, state, |found| match found.get(service::SERVICE) {
            Some(_) => Ok(()),
            None => Err(format!(
                "{} has not made the Service kube-dns",
                controller::NAME
            )),
        })
        .await;
    }

    /// Waits until pods can be created in the default namespace.
    pub(crate) async fn wait_default_account(
        &self,
        version: Version,
        state: &watch::Sender<String>,
    ) {
        let api = Api::<ServiceAccount>::namespaced(self.client.clone(), "default");
        // Until 1.23 a pod with a token is refused before the account's Secret is there.
        let needs_secret = version < Version::new(1, 24);
        wait_for(&api, state, |found| match found.get("default") {
            Some(account) if !needs_secret || account.secrets.is_some() => Ok(()),
            _ => Err("the default service account is not there".to_owned()),
        })
        .await;
    }
}

/// Whether a node's kubelet has said how it is since a time. Kubernetes counts in whole seconds.
fn has_reported(node: &Node, since: Timestamp) -> bool {
    let status = node.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| {
        let heartbeat = condition.last_heartbeat_time.as_ref();
        condition.type_ == "Ready"
            && heartbeat.is_some_and(|at| at.0.as_second() >= since.as_second())
    })
}

/// Whether a node takes pods: it says so, and no controller keeps pods off it for not being ready.
fn node_state(node: &Node) -> NodeState {
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let ready = conditions.and_then(|all| all.iter().find(|one| one.type_ == "Ready"));
    let Some(condition) = ready else {
        return NodeState {
            ready: false,
            reason: "its kubelet has not reported".to_owned(),
        };
    };
    if condition.status != "True" {
        let reason = condition
            .message
            .clone()
            .or_else(|| condition.reason.clone());
        return NodeState {
            ready: false,
            reason: reason.unwrap_or_default(),
        };
    }
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    let tainted = taints.is_some_and(|taints| {
        taints
            .iter()
            .any(|taint| taint.key == "node.kubernetes.io/not-ready")
    });
    let reason = if tainted {
        "it is still tainted as not ready"
    } else {
        ""
    };
    NodeState {
        ready: !tainted,
        reason: reason.to_owned(),
    }
}

/// Watches a kind until `decide` is content with all its objects; what it lacks goes to `state`.
async fn wait_for<K>(
    api: &Api<K>,
    state: &watch::Sender<String>,
    decide: impl Fn(&BTreeMap<String, K>) -> Result<(), String>,
) where
    K: kube::Resource + Clone + DeserializeOwned + Debug,
{
    loop {
        let Ok(list) = api.list(&ListParams::default()).await else {
            sleep(ASK_AGAIN).await;
            continue;
        };
        let version = list.metadata.resource_version.clone().unwrap_or_default();
        let mut found: BTreeMap<String, K> = list
            .into_iter()
            .map(|object| (object.name_any(), object))
            .collect();
        let Err(pending) = decide(&found) else { return };
        state.send_replace(pending);
        let Ok(events) = api.watch(&WatchParams::default(), &version).await else {
            continue;
        };
        pin_mut!(events);
        while let Some(Ok(event)) = events.next().await {
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    found.insert(object.name_any(), object);
                }
                WatchEvent::Deleted(object) => drop(found.remove(&object.name_any())),
                WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(_) => break,
            }
            let Err(pending) = decide(&found) else { return };
            state.send_replace(pending);
        }
    }
}

/// The administrator's entry for a kubeconfig.
pub(crate) fn kubeconfig_entry(cluster: &Cluster) -> Result<Entry, FileError> {
    let pki = Pki::new(cluster);
    let encode = |path: &std::path::Path| {
        let text = file::read_if_there(path)?.unwrap_or_default();
        Ok::<_, FileError>(STANDARD.encode(text))
    };
    Ok(Entry {
        name: cluster.layout.name().context(),
        server: cluster.server(),
        authority: encode(&pki.certificate("ca"))?,
        certificate: encode(&pki.certificate("admin"))?,
        key: encode(&pki.key("admin"))?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state(conditions: &serde_json::Value, taints: &serde_json::Value) -> NodeState {
        let node = json!({"status": {"conditions": conditions}, "spec": {"taints": taints}});
        node_state(&serde_json::from_value(node).unwrap())
    }

    #[test]
    fn what_a_node_said_before_its_kubelet_started_is_old() {
        let ready = json!({
            "type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:05Z",
        });
        let node = json!({"status": {"conditions": [ready]}});
        let node: Node = serde_json::from_value(node).unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert!(has_reported(&node, at("2026-01-01T00:00:05.9Z")));
        assert!(!has_reported(&node, at("2026-01-01T00:00:06Z")));
        assert!(!has_reported(&Node::default(), at("2026-01-01T00:00:00Z")));
    }

    #[test]
    fn a_node_that_says_ready_and_has_no_taint_is_ready() {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        assert!(state(&ready, &json!([])).ready);
        let taints = json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]);
        assert!(!state(&ready, &taints).ready);
    }

    #[test]
    fn a_node_that_is_not_ready_says_why() {
        let waiting = json!([{"type": "Ready", "status": "False", "message": "no network"}]);
        let found = state(&waiting, &json!([]));
        assert_eq!(
            found,
            NodeState {
                ready: false,
                reason: "no network".to_owned()
            }
        );
        assert!(!state(&json!([]), &json!([])).ready);
    }
}
