//! One conversation with an agent: frames over a byte stream, requests in parallel, credit both ways.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use skiff_proto::{
    Decoder, Fault, Frame, FrameError, Hello, MAX_FRAME, PROTOCOL_VERSION, Request, Response,
};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::packed::unpacked;

/// How soon a silent peer is missed.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How often the agent is asked whether it is there.
    pub ping_every: Duration,
    /// Silence after which the connection is taken for lost.
    pub silence: Duration,
}

impl Patience {
    /// Across an API server, from anywhere.
    pub const CLIENT: Self = Self {
        ping_every: Duration::from_secs(5),
        silence: Duration::from_secs(20),
    };
    /// Between the nodes of one cluster: a lost one is to be known within 10 s.
    pub const LINK: Self = Self {
        ping_every: Duration::from_secs(2),
        silence: Duration::from_secs(7),
    };
}

/// Frames that may wait to be written: with [`Frame::CHUNK`] each, half a megabyte.
const OUTGOING: usize = 8;

/// Who waits for the frames of which request, shared between the reader and the requests.
#[derive(Clone, Debug)]
struct Routes(Arc<Mutex<State>>);

#[derive(Debug)]
enum State {
    Open(HashMap<u32, mpsc::UnboundedSender<Frame>>),
    /// The reader stopped; the first to ask is told why.
    Ended(Option<SessionError>),
}

/// Why a conversation failed.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The stream ended or fell silent.
    #[error("the connection to the agent was lost{}", if .0.is_empty() { String::new() } else { format!(": {}", .0) })]
    Lost(String),
    /// The peer does not speak the protocol.
    #[error("the agent's answer is not understood")]
    Frame(#[source] FrameError),
    /// The agent is too old or too new.
    #[error("the agent speaks protocol {theirs}, this Skiff speaks {PROTOCOL_VERSION}")]
    Version {
        /// The agent's version.
        theirs: u16,
    },
    /// The agent refused a request.
    #[error(transparent)]
    Refused(#[from] Fault),
    /// The request does not fit into one frame.
    #[error("the request is too large: {size} bytes, at most {MAX_FRAME} are possible")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// The answer is not one to the question.
    #[error("the agent answered something else than was asked")]
    Unexpected,
}

/// One conversation. Dropping it ends it.
#[derive(Debug)]
pub struct Session {
    outgoing: mpsc::Sender<Frame>,
    routes: Routes,
    next_id: AtomicU32,
    boot: String,
    ended: watch::Receiver<Option<Ended>>,
    tasks: [JoinHandle<()>; 2],
}

/// How a conversation came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The stream was closed, or broke.
    Closed,
    /// The agent was silent for so long.
    Silent(Duration),
    /// The agent broke the protocol.
    Broken,
}

/// One request under way: what the agent sends for it, in order.
#[derive(Debug)]
pub struct Call {
    id: u32,
    incoming: mpsc::UnboundedReceiver<Frame>,
    outgoing: mpsc::Sender<Frame>,
    routes: Routes,
}

impl Session {
    /// Exchanges hellos over a fresh stream and starts to read and write.
    pub async fn open(
        mut input: impl AsyncWrite + Send + Unpin + 'static,
        output: impl AsyncRead + Send + Unpin + 'static,
        patience: Patience,
    ) -> Result<Self, SessionError> {
        let hello = Hello {
            protocol: PROTOCOL_VERSION,
            build: env!("CARGO_PKG_VERSION").to_owned(),
            boot: String::new(),
        };
        write(&mut input, &Frame::Hello(hello))
            .await
            .map_err(|error| lost(&error))?;
        let mut reader = FrameReader {
            output,
            decoder: Decoder::default(),
            silence: patience.silence,
            was_silent: false,
        };
        let Frame::Hello(theirs) = reader.next().await? else {
            return Err(SessionError::Unexpected);
        };
        if theirs.protocol.abs_diff(PROTOCOL_VERSION) > 1 {
            return Err(SessionError::Version {
                theirs: theirs.protocol,
            });
        }
        let routes = Routes(Arc::new(Mutex::new(State::Open(HashMap::new()))));
        let (outgoing, waiting) = mpsc::channel(OUTGOING);
        let (ending, ended) = watch::channel(None);
        let written = write_loop(input, waiting, patience.ping_every);
        let mut over = ended.clone();
        let tasks = [
            tokio::spawn(async move {
                // A peer that takes nothing any more must not hold those who write to it.
                tokio::select! {
                    () = written => {}
                    _ = over.wait_for(Option::is_some) => {}
                }
            }),
            tokio::spawn(read_loop(reader, routes.clone(), ending)),
        ];
        Ok(Self {
            outgoing,
            routes,
            next_id: AtomicU32::new(1),
            boot: theirs.boot,
            ended,
            tasks,
        })
    }

    /// The agent's identity, which changes whenever it restarts.
    pub fn boot(&self) -> &str {
        &self.boot
    }

    /// Waits until the conversation has come to its end, and says how.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        let ended = ended.wait_for(Option::is_some).await;
        ended
            .ok()
            .and_then(|ended| ended.clone())
            .unwrap_or(Ended::Closed)
    }

    /// Makes a request and gives its answer.
    pub async fn ask(&self, request: Request) -> Result<Response, SessionError> {
        self.start(request).await?.response().await
    }

    /// Makes a request that has more than one answer.
    pub async fn start(&self, request: Request) -> Result<Call, SessionError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let frame = Frame::Request(id, request);
        check_size(&frame)?;
        let incoming = self.routes.add(id)?;
        let (outgoing, routes) = (self.outgoing.clone(), self.routes.clone());
        let call = Call {
            id,
            incoming,
            outgoing,
            routes,
        };
        call.send_frame(frame).await?;
        Ok(call)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Call {
    /// The next frame of this request.
    pub async fn next(&mut self) -> Result<Frame, SessionError> {
        match self.incoming.recv().await {
            Some(Frame::Response(_, Response::Failed { fault })) => Err(fault.into()),
            Some(frame) => Ok(frame),
            None => Err(self.routes.why_ended()),
        }
    }

    /// The next response; credit on the way to it is of no interest any more.
    pub async fn response(&mut self) -> Result<Response, SessionError> {
        loop {
            match self.next().await? {
                Frame::Response(_, response) => return Ok(response),
                Frame::Credit(..) => {}
                _ => return Err(SessionError::Unexpected),
            }
        }
    }

    /// Sends some of this request's data.
    pub async fn send(&self, bytes: Vec<u8>) -> Result<(), SessionError> {
        self.send_frame(Frame::Data(self.id, bytes)).await
    }

    /// Ends this request's data.
    pub async fn finish(&self) -> Result<(), SessionError> {
        self.send_frame(Frame::End(self.id)).await
    }

    /// Tells the agent that this request's answer is of no use any more, as soon as that can be sent.
    pub fn cancel(&self) -> impl Future<Output = ()> + use<> {
        let (outgoing, id) = (self.outgoing.clone(), self.id);
        async move {
            // A connection that has ended has ended its requests.
            let _ = outgoing.send(Frame::Cancel(id)).await;
        }
    }

    /// Allows the agent to send so many bytes more.
    pub async fn credit(&self, bytes: usize) -> Result<(), SessionError> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.send_frame(Frame::Credit(self.id, bytes)).await
    }

    async fn send_frame(&self, frame: Frame) -> Result<(), SessionError> {
        self.outgoing
            .send(frame)
            .await
            .map_err(|_| self.routes.why_ended())
    }
}

impl Routes {
    fn add(&self, id: u32) -> Result<mpsc::UnboundedReceiver<Frame>, SessionError> {
        match &mut *self.lock() {
            State::Open(routes) => {
                let (sender, incoming) = mpsc::unbounded_channel();
                routes.insert(id, sender);
                Ok(incoming)
            }
            State::Ended(why) => Err(take_reason(why)),
        }
    }

    /// Hands a frame to whoever waits for its request, if somebody still does.
    fn deliver(&self, id: u32, frame: Frame) {
        if let State::Open(routes) = &mut *self.lock()
            && routes
                .get(&id)
                .is_some_and(|route| route.send(frame).is_err())
        {
            routes.remove(&id);
        }
    }

    fn end(&self, why: SessionError) {
        *self.lock() = State::Ended(Some(why));
    }

    fn why_ended(&self) -> SessionError {
        match &mut *self.lock() {
            State::Open(_) => SessionError::Lost(String::new()),
            State::Ended(why) => take_reason(why),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_reason(why: &mut Option<SessionError>) -> SessionError {
    why.take()
        .unwrap_or_else(|| SessionError::Lost(String::new()))
}

struct FrameReader<R> {
    output: R,
    decoder: Decoder,
    silence: Duration,
    was_silent: bool,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    async fn next(&mut self) -> Result<Frame, SessionError> {
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(SessionError::Frame)? {
                return Ok(frame);
            }
            let mut bytes = vec![0; Frame::CHUNK];
            let read = timeout(self.silence, self.output.read(&mut bytes))
                .await
                .map_err(|_| {
                    self.was_silent = true;
                    SessionError::Lost(format!("no answer for {} s", self.silence.as_secs()))
                })?
                .map_err(|error| lost(&error))?;
            if read == 0 {
                return Err(SessionError::Lost(String::new()));
            }
            self.decoder.push(&bytes[..read]);
        }
    }
}

async fn read_loop<R: AsyncRead + Unpin>(
    mut reader: FrameReader<R>,
    routes: Routes,
    ending: watch::Sender<Option<Ended>>,
) {
    loop {
        let next = reader.next().await;
        match next.and_then(|frame| unpacked(frame).map_err(SessionError::Frame)) {
            Ok(frame) => {
                if let Frame::Response(id, _)
                | Frame::Data(id, _)
                | Frame::End(id)
                | Frame::Credit(id, _) = frame
                {
                    routes.deliver(id, frame);
                }
            }
            Err(why) => {
                let ended = match &why {
                    SessionError::Lost(_) if reader.was_silent => Ended::Silent(reader.silence),
                    SessionError::Lost(_) => Ended::Closed,
                    _ => Ended::Broken,
                };
                routes.end(why);
                ending.send_replace(Some(ended));
                return;
            }
        }
    }
}

/// Writes frames until nobody is left to send one, with a ping now and then.
async fn write_loop(
    mut input: impl AsyncWrite + Unpin,
    mut waiting: mpsc::Receiver<Frame>,
    ping_every: Duration,
) {
    let mut pings = interval(ping_every);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.reset();
    loop {
        let frame = tokio::select! {
            frame = waiting.recv() => match frame {
                Some(frame) => frame,
                None => return,
            },
            _ = pings.tick() => Frame::Ping,
        };
        // The reader meets the same end of the connection and tells why.
        if write(&mut input, &frame).await.is_err() {
            return;
        }
    }
}

async fn write(input: &mut (impl AsyncWrite + Unpin), frame: &Frame) -> io::Result<()> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    input.write_all(&bytes).await?;
    input.flush().await
}

/// An agent that is sent too large a frame hangs up: better to say why.
fn check_size(frame: &Frame) -> Result<(), SessionError> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    let size = bytes.len();
    if size > MAX_FRAME {
        return Err(SessionError::TooLarge { size });
    }
    Ok(())
}

fn lost(error: &io::Error) -> SessionError {
    SessionError::Lost(error.to_string())
}

#[cfg(test)]
mod tests;
