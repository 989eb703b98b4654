//! An admission webhook that the test itself serves: it refuses privileged pods, as policy engines do, or puts a container
//! into every pod, as meshes do.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::{Namespace as KubernetesNamespace, Pod};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};
use tokio_rustls::TlsAcceptor;

use crate::Namespace;

/// How long the API server may take to ask.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the webhook says to a privileged pod.
pub const REFUSAL: &str = "privileged containers are not welcome here";
/// The label of namespaces whose pods it is asked about; the value is the namespace's name.
const LABEL: &str = "skiff-test/webhook";

/// What a webhook does to pods.
#[derive(Clone, Debug)]
pub enum Policy {
    /// It refuses privileged ones.
    RefusePrivileged,
    /// It puts this container before all others of each.
    Inject(Value),
}

/// A webhook that listens on this machine.
#[derive(Debug)]
pub struct Webhook {
    policy: Policy,
    address: SocketAddr,
    /// The certificate that clients are to trust, PEM.
    certificate: String,
    task: JoinHandle<()>,
}

impl Webhook {
    /// Starts one.
    pub async fn start(policy: Policy) -> Result<Self> {
        let key = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
        let private =
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], private)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let own = policy.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, policy) = (acceptor.clone(), own.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let service = service_fn(|request| answer(&policy, request));
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self {
            policy,
            address,
            certificate: key.cert.pem(),
            task,
        })
    }

    /// Has the API server ask this webhook about the namespace's pods, and waits until it does.
    pub async fn register(&self, namespace: &Namespace) -> Result<()> {
        let label = json!({ "metadata": { "labels": { LABEL: namespace.name } } });
        let namespaces = Api::<KubernetesNamespace>::all(namespace.client.clone());
        let patch = Patch::Merge(label);
        let params = PatchParams::default();
        namespaces.patch(&namespace.name, &params, &patch).await?;
        let configuration = self.configuration(&namespace.name);
        let create = PostParams::default();
        match self.policy {
            Policy::RefusePrivileged => {
                let api = Api::<ValidatingWebhookConfiguration>::all(namespace.client.clone());
                let object = serde_json::from_value(configuration)?;
                api.create(&create, &object).await?;
            }
            Policy::Inject(_) => {
                let api = Api::<MutatingWebhookConfiguration>::all(namespace.client.clone());
                let object = serde_json::from_value(configuration)?;
                api.create(&create, &object).await?;
            }
        }
        self.wait_until_asked(namespace).await
    }

    /// Has the API server ask no more.
    pub async fn unregister(&self, namespace: &Namespace) {
        let (name, params) = (&namespace.name, DeleteParams::default());
        let client = namespace.client.clone();
        // Whichever kind it is not is not there.
        let _ = Api::<ValidatingWebhookConfiguration>::all(client.clone())
            .delete(name, &params)
            .await;
        let _ = Api::<MutatingWebhookConfiguration>::all(client)
            .delete(name, &params)
            .await;
    }

    /// The API server takes a configuration in in its own time.
    async fn wait_until_asked(&self, namespace: &Namespace) -> Result<()> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "probe" },
            "spec": { "containers": [{ "name": "probe", "image": "probe:1", "securityContext": { "privileged": true } }] },
        }))?;
        let only_try = PostParams {
            dry_run: true,
            field_manager: None,
        };
        let mut tries = interval(Duration::from_millis(50));
        let asked = async {
            loop {
                let containers = namespace
                    .api::<Pod>()
                    .create(&only_try, &pod)
                    .await
                    .map(|pod| pod.spec.map_or(0, |spec| spec.containers.len()));
                if !matches!(containers, Ok(0 | 1)) {
                    return;
                }
                tries.tick().await;
            }
        };
        let late = "the API server does not ask the webhook";
        timeout(PATIENCE, asked).await.context(late)
    }

    fn configuration(&self, namespace: &str) -> Value {
        json!({
            "metadata": { "name": namespace },
            "webhooks": [{
                "name": "pods.skiff-test.example",
                "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"] }],
                "namespaceSelector": { "matchLabels": { LABEL: namespace } },
                "clientConfig": {
                    "url": format!("https://{}/", self.address),
                    "caBundle": ByteString(self.certificate.clone().into_bytes()),
                },
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
            }],
        })
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    policy: &Policy,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request
        .into_body()
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let review: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut verdict = json!({ "uid": review["request"]["uid"], "allowed": true });
    match policy {
        Policy::RefusePrivileged => {
            verdict["allowed"] = (!is_privileged(&review["request"]["object"])).into();
            verdict["status"] = json!({ "code": 403, "message": REFUSAL });
        }
        Policy::Inject(container) => {
            let patch = json!([{ "op": "add", "path": "/spec/containers/0", "value": container }]);
            verdict["patchType"] = "JSONPatch".into();
            verdict["patch"] = json!(ByteString(patch.to_string().into_bytes()));
        }
    }
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": verdict,
    });
    let mut response = Response::new(Full::new(Bytes::from(answer.to_string())));
    response.headers_mut().insert(
        "content-type",
        hyper::header::HeaderValue::from_static("application/json"),
    );
    Ok(response)
}

fn is_privileged(pod: &Value) -> bool {
    ["initContainers", "containers"]
        .iter()
        .filter_map(|kind| pod["spec"][kind].as_array())
        .flatten()
        .any(|container| container["securityContext"]["privileged"] == true)
}
