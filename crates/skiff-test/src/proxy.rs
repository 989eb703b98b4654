//! A TCP proxy that loses connections, and listeners that never answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Forwards connections, and cuts each one once so many bytes have come back through it.
#[derive(Debug)]
pub struct CuttingProxy {
    /// Where it listens.
    pub address: SocketAddr,
    cuts: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl CuttingProxy {
    /// Starts one before a server.
    pub async fn start(server: &str, cut_after: u64) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let cuts = Arc::new(AtomicU64::new(0));
        let (server, counter) = (server.to_owned(), cuts.clone());
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, server.clone(), cut_after, counter.clone()));
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

async fn forward(client: TcpStream, server: String, cut_after: u64, cuts: Arc<AtomicU64>) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
        let _ = to_server.shutdown().await;
    };
    let down = async {
        let mut left = cut_after;
        let mut buffer = vec![0; 16 << 10];
        while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
            let passed = u64::try_from(count).unwrap_or(u64::MAX).min(left);
            left -= passed;
            // The cut falls wherever it falls: also in the midst of a TLS record and a frame.
            let end = usize::try_from(passed).expect("no more than a buffer");
            if to_client.write_all(&buffer[..end]).await.is_err() {
                return;
            }
            if left == 0 {
                cuts.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    };
    // Whichever ends first takes both sockets with it.
    tokio::select! {
        () = up => {}
        () = down => {}
    }
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
