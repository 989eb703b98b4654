//! What goes over the socket: who speaks no SSH, and who speaks another dialect than OpenSSH on this machine.

use std::borrow::Cow;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use russh::ChannelMsg;
use russh::client::{self, Handler};
use russh::keys::PublicKeyOrCertificate;
use tokio::time::timeout;

use super::{Node, PATIENCE};

#[test]
fn a_client_that_speaks_no_ssh_is_hung_up_on() {
    let node = Node::start();
    // Makes sure that the agent listens.
    node.run("true");
    let socket = node.agent.root().join("run/ssh.sock");
    let mode = fs::metadata(&socket).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"SSH-2.0-x\r\n\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let mut stream = UnixStream::connect(&socket).expect("open");
        stream.write_all(garbage).expect("written");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("it hangs up in time");
    }
    assert_eq!(node.run("echo well"), "well\n");
}

/// A client that takes any server for the right one.
struct Trusting;

impl Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

#[test]
fn every_method_of_the_key_exchange_leads_to_a_session() {
    let node = Node::start();
    // Makes sure that the agent listens.
    node.run("true");
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime");
    for name in [
        russh::kex::MLKEM768X25519_SHA256,
        russh::kex::CURVE25519,
        russh::kex::CURVE25519_PRE_RFC_8731,
    ] {
        let said = runtime.block_on(async { timeout(PATIENCE, say_hello(&node, name)).await });
        assert_eq!(said.expect("in time").expect("it works"), b"hello\n");
    }
}

/// What a command prints for a client that knows only this method.
async fn say_hello(node: &Node, name: russh::kex::Name) -> Result<Vec<u8>, russh::Error> {
    let stream = tokio::net::UnixStream::connect(node.agent.root().join("run/ssh.sock")).await?;
    let mut config = client::Config::default();
    config.preferred.kex = Cow::Owned(vec![name]);
    let mut client = client::connect_stream(Arc::new(config), stream, Trusting).await?;
    assert!(client.authenticate_none("anybody").await?.success());
    let mut channel = client.channel_open_session().await?;
    channel.exec(true, "echo hello").await?;
    let mut output = Vec::new();
    while let Some(message) = channel.wait().await {
        if let ChannelMsg::Data { data } = message {
            output.extend_from_slice(&data);
        }
    }
    Ok(output)
}
