//! A TCP proxy that loses connections, and listeners that never answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::program::DEADLINE;

/// When a connection is cut. The cut falls wherever it falls: also in the midst of a TLS record and a frame.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// None: bytes are only counted.
    Never,
    /// Each connection, once so many bytes have come back through it.
    Back(u64),
    /// The first connection, once so many bytes have gone to the server.
    Forth(u64),
    /// The first connection, when something comes back after so many bytes have gone to the server: the server has
    /// done what it was asked, and its answer is lost.
    Answer(u64),
    /// Any connection, once so many bytes have gone to the server: it stays open, and nothing more gets there.
    Stall(u64),
    /// All, once so many bytes have gone to the server through one: it is not to be reached until
    /// [`CuttingProxy::heal`].
    Outage(u64),
}

/// Forwards connections, and cuts them.
#[derive(Debug)]
pub struct CuttingProxy {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What all connections of a proxy know.
#[derive(Debug, Default)]
struct Shared {
    cuts: watch::Sender<u64>,
    /// Bytes that have gone to the server.
    passed: AtomicU64,
    /// Whether nobody gets through, and whether somebody may again.
    is_out: watch::Sender<bool>,
    is_healed: AtomicBool,
}

impl CuttingProxy {
    /// Starts one before a server.
    pub async fn start(server: &str, cut: Cut) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::<Shared>::default();
        let task = tokio::spawn(serve(
            listener,
            address,
            server.to_owned(),
            cut,
            Arc::clone(&shared),
        ));
        Ok(Self {
            address,
            shared,
            task,
        })
    }

    /// How many connections it has cut.
    pub fn cuts(&self) -> u64 {
        *self.shared.cuts.borrow()
    }

    /// Waits until it has cut a connection.
    pub async fn wait_for_a_cut(&self) {
        let mut cuts = self.shared.cuts.subscribe();
        let cut = timeout(DEADLINE, cuts.wait_for(|cuts| *cuts > 0)).await;
        assert!(cut.is_ok(), "no connection came to the proxy's cut");
    }

    /// How many bytes have gone to the server, over all connections.
    pub fn passed(&self) -> u64 {
        self.shared.passed.load(Ordering::Relaxed)
    }

    /// Breaks every connection and refuses new ones until [`CuttingProxy::heal`].
    pub fn begin_outage(&self) {
        self.shared.is_out.send_replace(true);
    }

    /// Ends an outage for good.
    pub fn heal(&self) {
        self.shared.is_healed.store(true, Ordering::Relaxed);
        self.shared.is_out.send_replace(false);
    }
}

impl Drop for CuttingProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    listener: TcpListener,
    address: SocketAddr,
    server: String,
    cut: Cut,
    shared: Arc<Shared>,
) {
    let mut listener = Some(listener);
    let mut is_out = shared.is_out.subscribe();
    let mut is_first = true;
    loop {
        if *is_out.borrow_and_update() {
            // Without a listener the system refuses connections.
            listener = None;
            let _ = is_out.changed().await;
            continue;
        }
        let Some(listening) = &listener else {
            listener = TcpListener::bind(address).await.ok();
            tokio::task::yield_now().await;
            continue;
        };
        let client = tokio::select! {
            accepted = listening.accept() => accepted,
            _ = is_out.changed() => continue,
        };
        let Ok((client, _)) = client else { return };
        let is_only_first = matches!(cut, Cut::Forth(_) | Cut::Answer(_));
        let cut = if is_first || !is_only_first {
            cut
        } else {
            Cut::Never
        };
        is_first = false;
        let (server, shared) = (server.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            let mut is_out = shared.is_out.subscribe();
            let was_cut = tokio::select! {
                was_cut = forward(client, &server, cut, &shared) => was_cut,
                _ = is_out.wait_for(|is_out| *is_out) => true,
            };
            if was_cut {
                shared.cuts.send_modify(|cuts| *cuts += 1);
            }
        });
    }
}

/// What may pass in one direction before the cut.
struct Way<'a> {
    /// How many bytes have gone to the server.
    forth: &'a AtomicU64,
    cut: Cut,
    shared: &'a Shared,
}

impl Way<'_> {
    /// How much of so many bytes to the server still passes.
    fn forth(&self, count: u64) -> u64 {
        let before = self.forth.fetch_add(count, Ordering::Relaxed);
        let passes = match self.cut {
            Cut::Outage(_) if self.shared.is_healed.load(Ordering::Relaxed) => count,
            Cut::Forth(limit) | Cut::Stall(limit) | Cut::Outage(limit) => {
                count.min(limit.saturating_sub(before))
            }
            _ => count,
        };
        self.shared.passed.fetch_add(passes, Ordering::Relaxed);
        passes
    }

    /// How much of so many bytes from the server passes after so many.
    fn back(&self, before: u64, count: u64) -> u64 {
        match self.cut {
            Cut::Back(limit) => count.min(limit.saturating_sub(before)),
            Cut::Answer(limit) if self.forth.load(Ordering::Relaxed) > limit => 0,
            _ => count,
        }
    }
}

/// Whichever direction ends first takes both sockets with it; true where it was cut.
async fn forward(client: TcpStream, server: &str, cut: Cut, shared: &Shared) -> bool {
    let Ok(server) = TcpStream::connect(server).await else {
        return false;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let forth = AtomicU64::new(0);
    let way = Way {
        forth: &forth,
        cut,
        shared,
    };
    let to_server = async {
        let (cut_off, mut client) = pass(from_client, to_server, |_, count| way.forth(count)).await;
        match cut {
            Cut::Stall(_) if cut_off.is_some() => {
                shared.cuts.send_modify(|cuts| *cuts += 1);
                let _ = tokio::io::copy(&mut client, &mut tokio::io::sink()).await;
                false
            }
            Cut::Outage(_) if cut_off.is_some() => {
                shared.is_out.send_replace(true);
                true
            }
            _ => cut_off.is_some(),
        }
    };
    tokio::select! {
        cut = to_server => cut,
        (cut, _) = pass(from_server, to_client, |before, count| way.back(before, count)) => cut.is_some(),
    }
}

/// Copies as long as everything may pass; gives back the far end where something may not, and the near one.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    allowed: impl Fn(u64, u64) -> u64,
) -> (Option<OwnedWriteHalf>, OwnedReadHalf) {
    let mut before = 0;
    let mut buffer = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let passed = usize::try_from(allowed(before, count as u64)).unwrap_or(count);
        before += passed as u64;
        if to.write_all(&buffer[..passed]).await.is_err() {
            return (None, from);
        }
        if passed < count {
            return (Some(to), from);
        }
    }
    (None, from)
}

/// Accepts connections, keeps them open, and never says a word.
#[derive(Debug)]
pub struct BlackHole {
    /// Where it listens.
    pub address: SocketAddr,
    clients: Arc<Notify>,
    task: JoinHandle<()>,
}

impl BlackHole {
    /// Starts one.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let clients = Arc::new(Notify::new());
        let came = clients.clone();
        let task = tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((mut client, _)) = listener.accept().await {
                // One that has said something waits for an answer.
                let mut first = [0];
                let _ = client.read(&mut first).await;
                kept.push(client);
                came.notify_one();
            }
        });
        Ok(Self {
            address,
            clients,
            task,
        })
    }

    /// Waits until a client has come that nobody has waited for yet.
    pub async fn wait_for_a_client(&self) {
        self.clients.notified().await;
    }
}

impl Drop for BlackHole {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An address at which nobody listens.
pub async fn closed_port() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    Ok(listener.local_addr()?)
}
