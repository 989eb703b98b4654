//! A head and workers that greet it in another version, in one process.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use skiff_proto::{ClusterKey, Frame, Hello, PROTOCOL_VERSION};
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::sync::watch;
use tokio::time::timeout;

use super::Presence;
use super::links::Links;
use super::table::Table;
use crate::link::{self, LinkKey, Use};

/// How long a head may take to know its worker.
const PATIENCE: Duration = Duration::from_secs(30);

/// A worker that says hello in this version and is silent then, at an address of its own.
async fn greeter(address: IpAddr, key: LinkKey, protocol: u16) -> watch::Sender<bool> {
    let listener = link::listen(address).await.expect("it listens");
    let (departing, departed) = watch::channel(false);
    let greet: Use = Arc::new(move |stream| {
        Box::pin(async move {
            let (mut reader, mut writer) = split(stream);
            let hello = Hello {
                protocol,
                build: "another".to_owned(),
                boot: "its own".to_owned(),
            };
            let mut bytes = Vec::new();
            Frame::Hello(hello).encode(&mut bytes);
            // A head that does not like it hangs up.
            let _ = writer.write_all(&bytes).await;
            let _ = reader.read_to_end(&mut Vec::new()).await;
        })
    });
    tokio::spawn(link::serve(listener, key, greet, departed));
    departing
}

/// What a head comes to know of such a worker.
async fn presence_of(address: &str, protocol: u16) -> Presence {
    let key = LinkKey::new(&ClusterKey::new([1; 32])).expect("keys");
    let address: IpAddr = address.parse().expect("an address");
    let _worker = greeter(address, key.clone(), protocol).await;
    let dir = tempfile::tempdir().expect("a folder");
    let own = "127.47.0.1".parse().expect("an address");
    let table = Table::load(dir.path().join("nodes.json"), 0, 2, Some(own));
    let links = Arc::new(Links::new(0, 2, "the head's"));
    Links::keep(&links, &key, &table);
    let mut presence = links.presence();
    let before = presence.borrow_and_update()[1].clone();
    table.learn(vec![own, address]).expect("written");
    let known = presence.wait_for(|all| all[1] != before);
    let known = timeout(PATIENCE, known).await.expect("in time");
    known.expect("the links are there")[1].clone()
}

#[tokio::test]
async fn a_worker_whose_version_is_one_apart_is_there() {
    let known = presence_of("127.47.0.2", PROTOCOL_VERSION + 1).await;
    let boot = "its own".to_owned();
    assert_eq!(known, Presence::Here { boot });
}

#[tokio::test]
async fn a_worker_of_a_distant_version_is_away_and_the_reason_has_both_and_the_way_out() {
    let theirs = PROTOCOL_VERSION + 2;
    let known = presence_of("127.47.0.3", theirs).await;
    let why = format!(
        "its agent speaks protocol {theirs}, the head's speaks {PROTOCOL_VERSION}: take the cluster down and launch it again"
    );
    assert_eq!(known, Presence::Away { why });
}
