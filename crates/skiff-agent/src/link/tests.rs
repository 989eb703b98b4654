//! A head and a worker in one process, each with keys of its own.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use skiff_proto::ClusterKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::sync::watch;

use super::{DialError, LinkKey, Use, dial, listen, serve};

fn keys(byte: u8) -> LinkKey {
    LinkKey::new(&ClusterKey::new([byte; 32])).expect("keys")
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
    let (ours, other) = (ClusterKey::new([1; 32]), ClusterKey::new([2; 32]));
    let stranger = LinkKey::of_seeds(ours.host_seed(), other.link_seed()).expect("keys");
    let refused = dial(address, &stranger).await.err();
    assert!(
        matches!(refused, Some(DialError::NotLetIn(_))),
        "{refused:?}"
    );
}

/// Shows no key.
#[derive(Debug)]
struct NoKey;

impl ResolvesClientCert for NoKey {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn who_shows_no_key_is_not_let_in() {
    let (address, _worker) = worker("127.46.0.5", keys(1)).await;
    let mut stranger = keys(1);
    Arc::make_mut(&mut stranger.head).client_auth_cert_resolver = Arc::new(NoKey);
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
