//! What an agent does with the right to delete its cluster's owner.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use skiff_proto::{Autostop, Ending, OwnerAccess, Request, Response, WaitFor};

use crate::support::Agent;

/// An API server that takes one request and says that it was obeyed.
struct ApiServer {
    address: SocketAddr,
    /// Its certificate, by which it can be known.
    certificate: String,
    request: JoinHandle<Option<String>>,
}

impl ApiServer {
    fn start() -> Self {
        let key = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a key");
        let private =
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], private)
            .expect("the key is the certificate's");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it listens");
        Self {
            address,
            certificate: key.cert.pem(),
            request: std::thread::spawn(move || answer(&listener, config)),
        }
    }

    fn agent(&self) -> Agent {
        let (host, port) = (self.address.ip(), self.address.port());
        Agent::start_with(|command| {
            command
                .env("KUBERNETES_SERVICE_HOST", host.to_string())
                .env("KUBERNETES_SERVICE_PORT", port.to_string());
        })
    }
}

/// The text of the one request that comes; None where its sender does not trust this server.
fn answer(listener: &TcpListener, config: ServerConfig) -> Option<String> {
    let (tcp, _) = listener.accept().expect("somebody connects");
    let connection = ServerConnection::new(Arc::new(config)).expect("the configuration is whole");
    let mut stream = StreamOwned::new(connection, tcp);
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        let mut some = [0; 4096];
        let count = stream.read(&mut some).ok().filter(|count| *count > 0)?;
        request.extend_from_slice(&some[..count]);
    }
    let gone = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    stream.write_all(gone).expect("the agent listens");
    stream.conn.send_close_notify();
    stream.flush().expect("the agent listens");
    Some(String::from_utf8(request).expect("a request is text"))
}

fn access(authority: &str) -> OwnerAccess {
    OwnerAccess {
        namespace: "research".to_owned(),
        secret: "dev-0123abcd".to_owned(),
        uid: "one-of-a-kind".to_owned(),
        token: "t0ken".to_owned(),
        authority: authority.to_owned(),
    }
}

fn set(agent: &Agent, idle_ms: u64, down: bool, owner: OwnerAccess) {
    let autostop = Some(Autostop {
        idle_ms,
        down,
        wait_for: WaitFor::Jobs,
    });
    let owner = Some(Box::new(owner));
    let answer = agent.client().ask(Request::SetAutostop { autostop, owner });
    assert_eq!(answer, Response::Done);
}

#[test]
fn an_idle_agent_deletes_its_owner_and_nothing_else() {
    let server = ApiServer::start();
    let mut agent = server.agent();
    set(&agent, 100, true, access(&server.certificate));
    assert!(agent.wait().success());
    let request = server.request.join().expect("the server answers");
    let request = request.expect("the agent trusts it");
    let (head, body) = request.split_once("\r\n\r\n").expect("a head and a body");
    let mut lines = head.lines();
    assert_eq!(
        lines.next(),
        Some("DELETE /api/v1/namespaces/research/secrets/dev-0123abcd HTTP/1.1")
    );
    assert!(
        lines.any(|line| line == "Authorization: Bearer t0ken"),
        "{head}"
    );
    assert!(
        body.contains(r#""preconditions":{"uid":"one-of-a-kind"}"#),
        "{body}"
    );
}

#[test]
fn a_server_that_is_not_the_api_server_gets_no_token() {
    let (server, other) = (ApiServer::start(), ApiServer::start());
    let mut agent = server.agent();
    set(&agent, 100, true, access(&other.certificate));
    assert!(agent.wait().success(), "its pod ends all the same");
    let request = server.request.join().expect("the server listens");
    assert_eq!(request, None);
}

#[test]
fn the_token_is_kept_for_the_agents_own_user() {
    use std::os::unix::fs::PermissionsExt;
    let server = ApiServer::start();
    let agent = server.agent();
    set(&agent, 1_000_000, true, access(&server.certificate));
    let file = agent.root().join("autostop.json");
    let text = std::fs::read_to_string(&file).expect("it is kept");
    assert!(text.contains("t0ken"), "{text}");
    let mode = std::fs::metadata(&file).expect("it is kept").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    // The user's own command needs nobody's help, and who cancels takes the token back.
    let mut client = agent.client();
    let cancelled = client.ask(Request::SetAutostop {
        autostop: None,
        owner: None,
    });
    assert_eq!(cancelled, Response::Done);
    let text = std::fs::read_to_string(&file).expect("it is kept");
    assert!(!text.contains("t0ken"), "{text}");
    let ending = Ending::Down;
    assert_eq!(client.ask(Request::Shutdown { ending }), Response::Done);
}
