//! Brings a client's trees of files to their places: all of a tree, or nothing.
//!
//! The client's bytes are handed to a thread that works on the disk (`work.rs`), piece by piece: neither a large manifest
//! nor a large file is ever in memory. The head passes the same bytes on to the workers (`fleet.rs`).

mod compare;
mod content;
mod error;
mod fleet;
mod manifest;
mod mounts;
mod place;
mod records;
mod staging;
mod turns;
mod work;

use std::io;

use skiff_proto::tree::Need;
use skiff_proto::{Fault, Frame, Response};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::connection::{Piece, Reply, Upload};
use crate::layout::Layout;
use crate::server::Service;
use error::SyncError;
use fleet::Fleet;
use turns::Turn;
pub(crate) use turns::Turns;
pub(crate) use work::Order;
use work::Staged;

/// Pieces on their way to the disk: a quarter of a megabyte.
const AHEAD: usize = 4;

/// Prepares for syncs: keeps what earlier ones had, and makes what they brought appear at its place again.
pub(crate) fn recover(layout: &Layout) -> io::Result<()> {
    staging::recover(layout)?;
    mounts::restore(layout, None);
    Ok(())
}

/// Carries out one sync and answers what came of it; None where the client went before its end, or came back with the
/// same sync: then nobody waits for an answer and nothing was changed.
pub(crate) async fn receive(
    name: String,
    order: Order,
    upload: Upload,
    reply: &Reply,
    service: &Service,
) -> Option<Result<(), Fault>> {
    let turn = service.syncs.begin(name.clone()).await;
    let mut displaced = turn.displaced();
    let carrying_out = carry_out(&name, order, upload, reply, service, turn);
    let result = tokio::select! {
        result = carrying_out => result,
        () = displaced.wait() => return None,
    };
    match result {
        Ok(()) => Some(Ok(())),
        Err(error) => error.refusal().map(Err),
    }
}

async fn carry_out(
    name: &str,
    order: Order,
    mut upload: Upload,
    reply: &Reply,
    service: &Service,
    turn: Turn,
) -> Result<(), SyncError> {
    let manifest = order.manifest;
    let mut fleet = Fleet::start(&service.nodes, name, &order).await?;
    let mut disk = Disk::start(order, service, turn);
    if disk
        .forward(&mut upload, &mut fleet, Some(manifest))
        .await?
        && let Some(own) = disk.needs().await
    {
        tell(reply, &fleet.needs(own).await?).await?;
        disk.forward(&mut upload, &mut fleet, None).await?;
    }
    let (staged, turn) = disk.end().await?;
    // The head is the last: what it has, all have.
    fleet.end().await?;
    let _placing = service.syncs.placing().await;
    // It goes on to its end even where the client goes now.
    blocking(move || {
        let placed = staged.place();
        drop(turn);
        placed
    })
    .await
}

/// Tells the client what to send.
async fn tell(reply: &Reply, needs: &[Need]) -> Result<(), SyncError> {
    for chunk in Need::encode_all(needs).chunks(Frame::CHUNK) {
        let sent = reply.data(chunk.to_vec()).await;
        sent.map_err(|_| SyncError::Broken)?;
    }
    let sent = reply.send(Response::Needs).await;
    sent.map_err(|_| SyncError::Broken)
}

/// The thread that works on this node's disk.
struct Disk {
    pieces: mpsc::Sender<Piece>,
    needs: oneshot::Receiver<Vec<Need>>,
    work: JoinHandle<Result<(Staged, Turn), SyncError>>,
}

impl Disk {
    fn start(order: Order, service: &Service, turn: Turn) -> Self {
        let (pieces, incoming) = mpsc::channel(AHEAD);
        let (told, needs) = oneshot::channel();
        let (layout, home) = (service.layout.clone(), service.home.clone());
        let work = tokio::task::spawn_blocking(move || {
            work::stage(&layout, &home, &order, incoming, told).map(|staged| (staged, turn))
        });
        Self {
            pieces,
            needs,
            work,
        }
    }

    /// Hands over so many bytes of the client's, or all. False where the thread has ended already: it knows why.
    async fn forward(
        &mut self,
        upload: &mut Upload,
        fleet: &mut Fleet,
        limit: Option<u64>,
    ) -> Result<bool, SyncError> {
        let mut handed_over = 0;
        while limit.is_none_or(|limit| handed_over < limit) {
            let piece = upload.next().await.ok_or(SyncError::Broken)?;
            let Piece::Data(bytes) = &piece else {
                return Ok(self.pieces.send(piece).await.is_ok());
            };
            fleet.send(bytes).await?;
            let length = bytes.len();
            if self.pieces.send(piece).await.is_err() {
                return Ok(false);
            }
            upload.consumed(length).await;
            handed_over += length as u64;
        }
        Ok(true)
    }

    /// What this node needs; None where the thread has ended before it knew.
    async fn needs(&mut self) -> Option<Vec<Need>> {
        (&mut self.needs).await.ok()
    }

    async fn end(self) -> Result<(Staged, Turn), SyncError> {
        drop(self.pieces);
        finished(self.work).await
    }
}

/// Runs file work on a thread that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    finished(tokio::task::spawn_blocking(work)).await
}

async fn finished<T>(work: JoinHandle<T>) -> T {
    work.await
        .expect("the work does not panic and is never aborted")
}
