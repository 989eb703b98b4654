//! The last act of an agent whose cluster ends by itself: it deletes the cluster's owner, with which Kubernetes removes
//! all the rest. One request to the API server, which must prove who it is; must not be used for anything else.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use skiff_proto::OwnerAccess;
use thiserror::Error;
use tokio::time::sleep;

use crate::environment::Surroundings;
use crate::ssh::resolve;

/// How often it is tried: the API server may be away for a moment.
const TRIES: u32 = 5;
/// The pause between two tries.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the connection, and each read and write, may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// As much of an answer as is read: its first line decides.
const ANSWER: u64 = 4 << 10;

/// Why the owner is still there.
#[derive(Debug, Error)]
pub(crate) enum OwnerError {
    /// The kubelet has not said where the API server is.
    #[error("the container has no variables of the API server's address")]
    NoServer,
    /// The API server has no such name.
    #[error("{0:?} is no name of a server")]
    Name(String, #[source] InvalidDnsNameError),
    /// The API server cannot be reached.
    #[error("cannot reach the API server at {0}")]
    Connection(String, #[source] io::Error),
    /// The certificates that came with the token cannot be read.
    #[error("the authority of the API server cannot be read")]
    Authority,
    /// It is not the API server, or does not speak TLS as this agent does.
    #[error("cannot speak TLS with the API server")]
    Tls(#[source] rustls::Error),
    /// The API server said something else than that it is gone.
    #[error("the API server answered: {0}")]
    Refused(String),
}

/// Where the API server is, as every pod is told.
#[derive(Clone, Debug)]
pub(crate) struct ApiServer {
    host: OsString,
    port: OsString,
}

impl ApiServer {
    /// As this container is told.
    pub(crate) fn of(surroundings: &Surroundings) -> Self {
        Self {
            host: surroundings.own_or("KUBERNETES_SERVICE_HOST", ""),
            port: surroundings.own_or("KUBERNETES_SERVICE_PORT", "443"),
        }
    }

    /// Deletes the owner, trying again where that may help.
    pub(crate) async fn delete(self, access: OwnerAccess) -> Result<(), OwnerError> {
        let mut tries = TRIES;
        loop {
            tries -= 1;
            match self.try_delete(access.clone()).await {
                Err(OwnerError::Connection(..)) if tries > 0 => sleep(PAUSE).await,
                result => return result,
            }
        }
    }

    async fn try_delete(&self, access: OwnerAccess) -> Result<(), OwnerError> {
        let (host, port) = (self.host.to_str(), self.port.to_str());
        let (Some(host), Some(port)) = (host, port.and_then(|port| port.parse().ok())) else {
            return Err(OwnerError::NoServer);
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| OwnerError::Name(host.to_owned(), error))?;
        let unreachable = |error| OwnerError::Connection(host.to_owned(), error);
        let addresses = match host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => resolve(host).await.map_err(unreachable)?,
        };
        let Some(address) = addresses.first() else {
            return Err(OwnerError::NoServer);
        };
        let address = SocketAddr::new(*address, port);
        // Blocking: nothing else goes on any more, and an asynchronous TLS would be a crate more in every pod.
        let asking = tokio::task::spawn_blocking(move || ask(name, address, &access));
        match asking.await {
            Ok(answer) => understood(&answer?),
            Err(error) => Err(unreachable(io::Error::other(error))),
        }
    }
}

/// Sends the request and reads the beginning of the answer.
fn ask(
    name: ServerName<'static>,
    address: SocketAddr,
    access: &OwnerAccess,
) -> Result<String, OwnerError> {
    let unreachable = |error| OwnerError::Connection(address.to_string(), error);
    let connection = ClientConnection::new(Arc::new(trusting(&access.authority)?), name);
    let connection = connection.map_err(OwnerError::Tls)?;
    let tcp = TcpStream::connect_timeout(&address, PATIENCE).map_err(unreachable)?;
    tcp.set_read_timeout(Some(PATIENCE)).map_err(unreachable)?;
    tcp.set_write_timeout(Some(PATIENCE)).map_err(unreachable)?;
    let mut stream = StreamOwned::new(connection, tcp);
    let mut answer = Vec::new();
    let asked = stream
        .write_all(request(address, access).as_bytes())
        .and_then(|()| stream.flush())
        .and_then(|()| stream.take(ANSWER).read_to_end(&mut answer));
    match asked {
        // A server that hangs up after its answer has answered.
        Err(error) if answer.is_empty() => Err(match error.downcast::<rustls::Error>() {
            Ok(error) => OwnerError::Tls(error),
            Err(error) => unreachable(error),
        }),
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}

/// Trusts the cluster's own authority alone.
fn trusting(authority: &str) -> Result<ClientConfig, OwnerError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        let certificate = certificate.map_err(|_| OwnerError::Authority)?;
        roots.add(certificate).map_err(OwnerError::Tls)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(OwnerError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn request(address: SocketAddr, access: &OwnerAccess) -> String {
    let OwnerAccess {
        namespace,
        secret,
        uid,
        token,
        ..
    } = access;
    let body = serde_json::json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": { "uid": uid },
        "propagationPolicy": "Background",
    })
    .to_string();
    let length = body.len();
    format!(
        "DELETE /api/v1/namespaces/{namespace}/secrets/{secret} HTTP/1.1\r\nHost: {address}\r\n\
         Authorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Accept: application/json\r\nConnection: close\r\n\r\n{body}"
    )
}

/// What the first line of an answer says. A Secret that is gone, or another of its name, is what was wanted.
fn understood(answer: &str) -> Result<(), OwnerError> {
    let first = answer.lines().next().unwrap_or_default();
    match first.split(' ').nth(1) {
        Some("200" | "202" | "404" | "409") => Ok(()),
        _ => Err(OwnerError::Refused(first.to_owned())),
    }
}
