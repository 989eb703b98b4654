//! An admission webhook that the test itself serves: it refuses privileged pods, as policy engines do.

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
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
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

/// A webhook that listens on this machine.
#[derive(Debug)]
pub struct PrivilegeWebhook {
    /// Where it listens.
    pub address: SocketAddr,
    /// The certificate that clients are to trust, PEM.
    pub certificate: String,
    task: JoinHandle<()>,
}

impl PrivilegeWebhook {
    /// Starts one.
    pub async fn start() -> Result<Self> {
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
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let service = service_fn(answer);
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self {
            address,
            certificate: key.cert.pem(),
            task,
        })
    }

    /// Waits until the API server has taken the configuration in, which it does in its own time.
    pub async fn wait_until_asked(&self, namespace: &Namespace) {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "probe" },
            "spec": { "containers": [{ "name": "probe", "image": "probe:1", "securityContext": { "privileged": true } }] },
        }))
        .expect("the pod is well-formed");
        let only_try = PostParams {
            dry_run: true,
            field_manager: None,
        };
        let mut tries = interval(Duration::from_millis(50));
        let asked = async {
            while namespace.api::<Pod>().create(&only_try, &pod).await.is_ok() {
                tries.tick().await;
            }
        };
        timeout(PATIENCE, asked)
            .await
            .expect("the API server asks the webhook");
    }

    /// The configuration that makes the API server ask this webhook about pods in namespaces of a label.
    pub fn configuration(
        &self,
        name: &str,
        label: (&str, &str),
    ) -> Result<ValidatingWebhookConfiguration> {
        use k8s_openapi::ByteString;
        let value = json!({
            "metadata": { "name": name },
            "webhooks": [{
                "name": "privileged.skiff-test.example",
                "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"] }],
                "namespaceSelector": { "matchLabels": { (label.0): label.1 } },
                "clientConfig": {
                    "url": format!("https://{}/", self.address),
                    "caBundle": ByteString(self.certificate.clone().into_bytes()),
                },
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
            }],
        });
        serde_json::from_value(value).context("the configuration is well-formed")
    }
}

impl Drop for PrivilegeWebhook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request
        .into_body()
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let review: Value = serde_json::from_slice(&body).unwrap_or_default();
    let allowed = !is_privileged(&review["request"]["object"]);
    let verdict = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {
            "uid": review["request"]["uid"],
            "allowed": allowed,
            "status": { "code": 403, "message": REFUSAL },
        },
    });
    let mut response = Response::new(Full::new(Bytes::from(verdict.to_string())));
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
