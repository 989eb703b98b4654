//! A TCP proxy that loses connections, and listeners that never answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// When a connection is cut. The cut falls wherever it falls: also in the midst of a TLS record and a frame.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// Each connection, once so many bytes have come back through it.
    Back(u64),
    /// The first connection, once so many bytes have gone to the server.
    Forth(u64),
    /// The first connection, when something comes back after so many bytes have gone to the server: the server has
    /// done what it was asked, and its answer is lost.
    Answer(u64),
}

/// Forwards connections, and cuts them.
#[derive(Debug)]
pub struct CuttingProxy {
    /// Where it listens.
    pub address: SocketAddr,
    cuts: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl CuttingProxy {
    /// Starts one before a server.
    pub async fn start(server: &str, cut: Cut) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let cuts = Arc::new(AtomicU64::new(0));
        let (server, counter) = (server.to_owned(), cuts.clone());
        let task = tokio::spawn(async move {
            let mut is_first = true;
            while let Ok((client, _)) = listener.accept().await {
                let cut = (is_first || matches!(cut, Cut::Back(_))).then_some(cut);
                is_first = false;
                let (server, counter) = (server.clone(), counter.clone());
                tokio::spawn(async move {
                    if forward(client, &server, cut).await {
                        counter.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        Ok(Self {
            address,
            cuts,
            task,
        })
    }

    /// How many connections it has cut.
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Relaxed)
    }
}

impl Drop for CuttingProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What may pass in one direction before the cut.
struct Way<'a> {
    /// How many bytes have gone to the server.
    forth: &'a AtomicU64,
    cut: Option<Cut>,
}

impl Way<'_> {
    /// How much of so many bytes to the server still passes.
    fn forth(&self, count: u64) -> u64 {
        let before = self.forth.fetch_add(count, Ordering::Relaxed);
        match self.cut {
            Some(Cut::Forth(limit)) => count.min(limit.saturating_sub(before)),
            _ => count,
        }
    }

    /// How much of so many bytes from the server passes after so many.
    fn back(&self, before: u64, count: u64) -> u64 {
        match self.cut {
            Some(Cut::Back(limit)) => count.min(limit.saturating_sub(before)),
            Some(Cut::Answer(limit)) if self.forth.load(Ordering::Relaxed) > limit => 0,
            _ => count,
        }
    }
}

/// Whichever direction ends first takes both sockets with it; true where it was cut.
async fn forward(client: TcpStream, server: &str, cut: Option<Cut>) -> bool {
    let Ok(server) = TcpStream::connect(server).await else {
        return false;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let forth = AtomicU64::new(0);
    let way = Way { forth: &forth, cut };
    tokio::select! {
        cut = pass(from_client, to_server, |_, count| way.forth(count)) => cut,
        cut = pass(from_server, to_client, |before, count| way.back(before, count)) => cut,
    }
}

/// Copies as long as everything may pass; true where something may not.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    allowed: impl Fn(u64, u64) -> u64,
) -> bool {
    let mut before = 0;
    let mut buffer = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let passed = usize::try_from(allowed(before, count as u64)).unwrap_or(count);
        before += passed as u64;
        if to.write_all(&buffer[..passed]).await.is_err() {
            return false;
        }
        if passed < count {
            return true;
        }
    }
    false
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
