//! A head and a worker in one process, each with keys of its own.

use std::net::IpAddr;
use std::sync::Arc;

use skiff_proto::ClusterKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::sync::watch;

use super::{DialError, LinkKey, Use, dial, listen, serve};

fn keys(byte: u8) -> LinkKey {
    LinkKey::new(&ClusterKey::new([byte; 32]))
}

/// A worker that sends back what it gets; it goes with what is returned.
async fn worker(address: &str, key: LinkKey) -> (IpAddr, watch::Sender<bool>) {
    let address = address.parse().expect("an address");
    let listener = listen(address).await.expect("it listens");
    let (departing, departed) = watch::channel(false);
    let echo: Use = Arc::new(|stream| {
        Box::pin(async move {
            let (mut reader, mut writer) = split(stream);
            // The other end decides when it is over.
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
        })
    });
    tokio::spawn(serve(listener, key, echo, departed));
    (address, departing)
}

#[tokio::test]
async fn a_link_carries_bytes_both_ways() {
    let (address, _worker) = worker("127.46.0.1", keys(1)).await;
    let mut link = dial(address, &keys(1)).await.expect("let in");
    let sent = vec![7; 1 << 20];
    let (mut reader, mut writer) = split(&mut link);
    let sending = writer.write_all(&sent);
    let mut back = vec![0; sent.len()];
    let (sent_all, received) = tokio::join!(sending, reader.read_exact(&mut back));
    sent_all.expect("sent");
    received.expect("received");
    assert_eq!(back, sent);
}

#[tokio::test]
async fn a_worker_of_another_cluster_is_not_trusted() {
    let (address, _worker) = worker("127.46.0.2", keys(2)).await;
    let refused = dial(address, &keys(1)).await.err();
    assert!(
        matches!(refused, Some(DialError::Stranger(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_head_of_another_cluster_is_not_let_in() {
    let (address, _worker) = worker("127.46.0.3", keys(1)).await;
    let stranger = LinkKey {
        host: keys(1).host,
        head: keys(2).head,
    };
    let refused = dial(address, &stranger).await.err();
    assert!(
        matches!(refused, Some(DialError::NotLetIn(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn who_listens_not_is_told_from_who_is_silent() {
    let address = "127.46.0.4".parse().expect("an address");
    let refused = dial(address, &keys(1)).await.err();
    assert!(
        refused.as_ref().is_some_and(DialError::is_refused),
        "{refused:?}"
    );
}
