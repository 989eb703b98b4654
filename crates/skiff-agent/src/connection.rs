//! One peer's connection: frames in, requests side by side, frames out within their credit.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use skiff_proto::{
    Decoder, Fault, FaultKind, Frame, FrameError, Hello, PROTOCOL_VERSION, Request, Response,
};
use skiff_wire::{Packer, Patience, unpacked};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::idle::Busy;
use crate::request;
use crate::server::Service;
use crate::worker::Placed;

/// Frames that wait to be written: with the largest data frames, 256 KiB.
const OUTBOX: usize = 4;
/// How long a client has to take its last answers.
const FAREWELL: Duration = Duration::from_secs(1);

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A user, whom Kubernetes has let in.
    Client,
    /// The head's agent, at a worker.
    Head,
}

impl Peer {
    /// A peer that has pinged before and is silent for so long is gone.
    const fn silence(self) -> Duration {
        match self {
            Self::Client => Duration::from_mins(2),
            Self::Head => Patience::LINK.silence,
        }
    }

    /// Requests that one connection may have open. A head has one for each stage, and for each one that has ended and left
    /// something behind.
    const fn max_open(self) -> usize {
        match self {
            Self::Client => 64,
            Self::Head => 1024,
        }
    }

    /// Bytes of an answer's data that may be on the way without credit. Between nodes they are soon there, and many
    /// stages may write at once.
    const fn window(self) -> u32 {
        match self {
            Self::Client => Frame::WINDOW,
            Self::Head => Frame::WINDOW / 4,
        }
    }
}

/// A request's way of answering.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    id: u32,
    out: mpsc::Sender<Frame>,
    credit: Arc<Semaphore>,
    /// As long as the request is worked on, the cluster is not idle.
    _busy: Option<Arc<Busy>>,
}

impl Reply {
    /// Sends an answer. An error means that the client is gone.
    pub(crate) async fn send(&self, response: Response) -> Result<(), Gone> {
        self.out
            .send(Frame::Response(self.id, response))
            .await
            .map_err(|_| Gone)
    }

    /// Ends this request's data.
    pub(crate) async fn end(&self) -> Result<(), Gone> {
        self.out.send(Frame::End(self.id)).await.map_err(|_| Gone)
    }

    /// Sends data as far as the client has room for it.
    pub(crate) async fn data(&self, bytes: Vec<u8>) -> Result<(), Gone> {
        self.room(bytes.len()).await?;
        self.out
            .send(Frame::Data(self.id, bytes))
            .await
            .map_err(|_| Gone)
    }

    /// The same, compressed where that makes it smaller.
    pub(crate) async fn packed(&self, packer: &mut Packer, bytes: Vec<u8>) -> Result<(), Gone> {
        self.room(bytes.len()).await?;
        let frame = packer.frame(self.id, bytes);
        self.out.send(frame).await.map_err(|_| Gone)
    }

    /// Waits until the client has room for so many bytes, and takes it.
    async fn room(&self, size: usize) -> Result<(), Gone> {
        let size = u32::try_from(size).map_err(|_| Gone)?;
        let permits = self.credit.acquire_many(size).await;
        permits.map_err(|_| Gone)?.forget();
        Ok(())
    }

    /// How many bytes of data were sent that the client has not consumed yet.
    pub(crate) fn on_the_way(&self) -> u64 {
        let window = Frame::WINDOW as usize;
        window.saturating_sub(self.credit.available_permits()) as u64
    }
}

/// The client has gone: nobody needs the answer.
#[derive(Debug)]
pub(crate) struct Gone;

/// What arrives for an upload.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Some bytes.
    Data(Vec<u8>),
    /// There are no more.
    End,
}

/// The receiving end of an upload.
#[derive(Debug)]
pub(crate) struct Upload {
    id: u32,
    pieces: mpsc::UnboundedReceiver<Piece>,
    out: mpsc::Sender<Frame>,
    /// Bytes taken in and not yet credited back.
    held: Arc<AtomicU32>,
}

impl Upload {
    /// The next piece; None where the connection broke.
    pub(crate) async fn next(&mut self) -> Option<Piece> {
        self.pieces.recv().await
    }

    /// Tells the client that it may send so many bytes more.
    pub(crate) async fn consumed(&self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        // A client that is gone needs no credit.
        let _ = self.out.send(Frame::Credit(self.id, bytes)).await;
    }
}

struct Open {
    credit: Arc<Semaphore>,
    upload: Option<(mpsc::UnboundedSender<Piece>, Arc<AtomicU32>)>,
    task: JoinHandle<()>,
}

/// Serves one peer until it goes, breaks the protocol, or the agent goes.
pub(crate) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    peer: Peer,
    service: Service,
) {
    let mut place = match peer {
        Peer::Head => Some(service.head_place.take().await),
        Peer::Client => None,
    };
    let (reader, writer) = tokio::io::split(stream);
    let (out, outbox) = mpsc::channel(OUTBOX);
    let mut writing = tokio::spawn(write(writer, outbox));
    let hello = Hello {
        protocol: PROTOCOL_VERSION,
        build: env!("CARGO_PKG_VERSION").to_owned(),
        boot: service.boot.clone(),
    };
    if out.send(Frame::Hello(hello)).await.is_ok() {
        let mut connection = Connection {
            service,
            peer,
            out,
            open: HashMap::new(),
            greeted: false,
            pings: false,
        };
        tokio::select! {
            () = connection.read(reader) => {}
            () = replaced(place.as_mut()) => {}
        }
        connection.end_requests().await;
    }
    drop(place);
    // What is in the outbox still goes out, to a client that takes it.
    if tokio::time::timeout(FAREWELL, &mut writing).await.is_err() {
        writing.abort();
    }
}

/// Waits until another head has taken the place, where there is one.
async fn replaced(place: Option<&mut Placed>) {
    match place {
        Some(place) => place.replaced().await,
        None => std::future::pending().await,
    }
}

struct Connection {
    service: Service,
    peer: Peer,
    out: mpsc::Sender<Frame>,
    open: HashMap<u32, Open>,
    greeted: bool,
    pings: bool,
}

impl Connection {
    /// Ends all requests; the stages among them are being ended when this returns.
    async fn end_requests(self) {
        let tasks = self.open.into_values().map(|open| open.task);
        let tasks: Vec<_> = tasks.inspect(JoinHandle::abort).collect();
        for task in tasks {
            // It was cancelled, or had ended.
            let _ = task.await;
        }
    }

    async fn read(&mut self, mut reader: impl AsyncRead + Unpin) {
        let mut decoder = Decoder::default();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = async {
                if self.pings {
                    tokio::time::timeout(self.peer.silence(), reader.read(&mut buffer))
                        .await
                        .ok()
                } else {
                    Some(reader.read(&mut buffer).await)
                }
            };
            let Some(Ok(count @ 1..)) = read.await else {
                return;
            };
            decoder.push(&buffer[..count]);
            loop {
                let taken = match decoder.next_frame() {
                    Ok(Some(frame)) => self.take(frame).await,
                    Ok(None) => break,
                    Err(FrameError::Request { id, .. }) => self.refuse(id, unsupported()).await,
                    Err(_) => Err(Gone),
                };
                if taken.is_err() {
                    return;
                }
            }
        }
    }

    async fn take(&mut self, frame: Frame) -> Result<(), Gone> {
        match frame {
            Frame::Hello(hello) => {
                self.greeted = hello.protocol.abs_diff(PROTOCOL_VERSION) <= 1;
                self.greeted.then_some(()).ok_or(Gone)
            }
            _ if !self.greeted => Err(Gone),
            Frame::Request(id, request) => self.start(id, request).await,
            Frame::Data(id, bytes) => self.data(id, bytes),
            packed @ Frame::Packed(..) => match unpacked(packed) {
                Ok(Frame::Data(id, bytes)) => self.data(id, bytes),
                _ => Err(Gone),
            },
            Frame::End(id) => {
                if let Some((pieces, _)) = self.open.get(&id).and_then(|open| open.upload.as_ref())
                {
                    // An upload that failed already has its answer.
                    let _ = pieces.send(Piece::End);
                }
                Ok(())
            }
            Frame::Credit(id, bytes) => {
                let room = Semaphore::MAX_PERMITS;
                if let Some(open) = self.open.get(&id)
                    && open.credit.available_permits() + (bytes as usize) < room
                {
                    open.credit.add_permits(bytes as usize);
                }
                Ok(())
            }
            Frame::Cancel(id) => {
                if let Some(open) = self.open.remove(&id) {
                    open.task.abort();
                }
                Ok(())
            }
            Frame::Ping => {
                self.pings = true;
                self.out.send(Frame::Pong).await.map_err(|_| Gone)
            }
            Frame::Pong => Ok(()),
            Frame::Response(..) => Err(Gone),
        }
    }

    async fn start(&mut self, id: u32, request: Request) -> Result<(), Gone> {
        self.open.retain(|_, open| !open.task.is_finished());
        let most = self.peer.max_open();
        if self.open.contains_key(&id) || self.open.len() >= most {
            let message = format!("request {id} is open already, or {most} others are");
            return self
                .refuse(
                    id,
                    Fault {
                        kind: FaultKind::Invalid,
                        message,
                    },
                )
                .await;
        }
        let credit = Arc::new(Semaphore::new(self.peer.window() as usize));
        let reply = Reply {
            id,
            out: self.out.clone(),
            credit: Arc::clone(&credit),
            _busy: request::is_work(&request).then(|| Arc::new(self.service.activity.request())),
        };
        let mut upload = None;
        let has_data = matches!(request, Request::Sync { .. } | Request::Stage { .. });
        let receiving = has_data.then(|| {
            let (sender, pieces) = mpsc::unbounded_channel();
            let held = Arc::new(AtomicU32::new(0));
            upload = Some((sender, Arc::clone(&held)));
            Upload {
                id,
                pieces,
                out: self.out.clone(),
                held,
            }
        });
        let task = request::start(request, self.peer, receiving, reply, &self.service).await;
        self.open.insert(
            id,
            Open {
                credit,
                upload,
                task,
            },
        );
        Ok(())
    }

    /// Hands data to its upload. A client that sends more than the window breaks the protocol; data for
    /// a request that has been answered already is on its way from before that.
    fn data(&mut self, id: u32, bytes: Vec<u8>) -> Result<(), Gone> {
        let Some((pieces, held)) = self.open.get(&id).and_then(|open| open.upload.as_ref()) else {
            return Ok(());
        };
        let size = u32::try_from(bytes.len()).map_err(|_| Gone)?;
        if held.fetch_add(size, Ordering::Relaxed).saturating_add(size) > Frame::WINDOW {
            return Err(Gone);
        }
        // An upload that failed already has its answer.
        let _ = pieces.send(Piece::Data(bytes));
        Ok(())
    }

    async fn refuse(&self, id: u32, fault: Fault) -> Result<(), Gone> {
        self.out
            .send(Frame::Response(id, Response::Failed { fault }))
            .await
            .map_err(|_| Gone)
    }
}

fn unsupported() -> Fault {
    let message = format!(
        "the agent ({}) does not know this request: it is of another version than the client",
        env!("CARGO_PKG_VERSION")
    );
    Fault {
        kind: FaultKind::Unsupported,
        message,
    }
}

async fn write(mut writer: impl AsyncWrite + Unpin, mut outbox: mpsc::Receiver<Frame>) {
    let mut bytes = Vec::new();
    while let Some(frame) = outbox.recv().await {
        bytes.clear();
        frame.encode(&mut bytes);
        while let Ok(frame) = outbox.try_recv() {
            frame.encode(&mut bytes);
        }
        if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
}
