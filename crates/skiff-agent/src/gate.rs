//! The Docker gate: knows whether the daemon beside the task answers, and tells the keeper.
//!
//! Waits for the socket by inotify and holds one connection to the daemon, whose end is the daemon's.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use skiff_proto::{DockerState, paths};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::arguments::Engine;
use crate::builder::http2::Connection;
use crate::docker_links;
use crate::docker_report::{DockerReport, Phase, last_words, log_tail};
use crate::keeper::Command;
use crate::layout::Layout;
use crate::queue::Event;
use crate::tools;
use crate::watch_dir::DirWatch;

/// How long a job waits for the daemon once its container runs.
const TO_ANSWER: Duration = Duration::from_mins(2);
/// How long a job waits for the daemon's container, whose image may have to be pulled yet.
const TO_APPEAR: Duration = Duration::from_mins(10);
/// How long the wrapper has to say why the daemon has ended.
const TO_TELL: Duration = Duration::from_secs(2);
/// The longest head of an answer that is read.
const HEAD: usize = 4 << 10;

/// A connection to a daemon or builder that has answered.
enum Line {
    Daemon(UnixStream),
    Builder(Connection),
}

impl Line {
    async fn open(engine: Engine, socket: &Path) -> io::Result<Self> {
        match engine {
            Engine::Daemon => ping(socket).await.map(Self::Daemon),
            Engine::Builder => Connection::open(socket).await.map(Self::Builder),
        }
    }

    /// Returns when its other end has gone.
    async fn until_over(self) {
        match self {
            // The daemon says nothing more on this connection: whatever comes, it is over.
            Self::Daemon(mut daemon) => drop(daemon.read(&mut [0; 1]).await),
            Self::Builder(builder) => builder.until_over().await,
        }
    }
}

/// The gate.
pub(crate) struct Gate {
    engine: Engine,
    layout: Layout,
    home: PathBuf,
    state: watch::Sender<DockerState>,
    keeper: mpsc::Sender<Command>,
    /// Notified when a job waits for the daemon.
    awaited: Arc<Notify>,
}

impl Gate {
    /// A gate that reports to this keeper, for jobs at home in this folder.
    pub(crate) fn new(
        engine: Engine,
        layout: Layout,
        home: PathBuf,
        state: watch::Sender<DockerState>,
        keeper: mpsc::Sender<Command>,
        awaited: Arc<Notify>,
    ) -> Self {
        Self {
            engine,
            layout,
            home,
            state,
            keeper,
            awaited,
        }
    }

    /// Runs as long as the agent.
    pub(crate) async fn run(self) {
        loop {
            let daemon = match self.until_ready().await {
                Ok(daemon) => daemon,
                Err(error) => {
                    let cause = format!("the agent cannot look for it: {error}");
                    self.state
                        .send_replace(DockerState::Failed { log: cause.clone() });
                    loop {
                        self.tell(Event::DockerLate {
                            cause: cause.clone(),
                        })
                        .await;
                        self.awaited.notified().await;
                    }
                }
            };
            docker_links::make(&self.layout, &self.home);
            self.state.send_replace(DockerState::Ready);
            self.tell(Event::DockerReady).await;
            daemon.until_over().await;
            self.until_told().await;
            let cause = self.last_words("its socket closed");
            self.state.send_replace(DockerState::Failed {
                log: log_tail(&self.layout),
            });
            self.tell(Event::DockerLost { cause }).await;
        }
    }

    async fn tell(&self, event: Event) {
        // The keeper is gone only when the agent goes.
        let _ = self.keeper.send(Command::Event(event)).await;
    }

    /// A connection to the daemon that has answered. Tells the keeper when a job has waited too long.
    async fn until_ready(&self) -> io::Result<Line> {
        let socket = socket(self.engine, &self.layout);
        let dir = socket.parent().unwrap_or(Path::new("/"));
        let mut waiting_since = None;
        loop {
            let mut changes = watch_nearest(dir)?;
            let mut tools = watch_nearest(&self.layout.at(paths::TOOLS_BIN))?;
            let deadline = waiting_since.map(|since| self.deadline(since));
            let changed_or_ready = async {
                match Line::open(self.engine, &socket).await {
                    Ok(daemon) if self.is_started() => return Ok(Some(daemon)),
                    _ => {}
                }
                tokio::select! {
                    result = changes.changed() => result.map(|()| None),
                    result = tools.changed() => result.map(|()| None),
                }
            };
            tokio::select! {
                ready = changed_or_ready => if let Some(daemon) = ready? {
                    return Ok(daemon);
                },
                () = self.awaited.notified() => waiting_since = Some(Instant::now()),
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    waiting_since = None;
                    let cause = self.last_words("the daemon does not answer");
                    self.tell(Event::DockerLate { cause }).await;
                }
            }
        }
    }

    /// Waits for what the wrapper has to say of the daemon's end, not for long: it may have gone too.
    async fn until_told(&self) {
        let told = async {
            let report = self.layout.at(paths::DOCKER_REPORT);
            let mut changes = DirWatch::new(report.parent().unwrap_or(Path::new("/")))?;
            while self.is_started() {
                changes.changed().await?;
            }
            io::Result::Ok(())
        };
        let _ = timeout(TO_TELL, told).await;
    }

    /// Whether the wrapper is done with what it does beside the daemon.
    fn is_started(&self) -> bool {
        // The builder's tools come from a container of their own.
        let has_tools = self.engine == Engine::Daemon || tools::are_there(&self.layout);
        has_tools
            && DockerReport::read(&self.layout).is_none_or(|report| report.phase == Phase::Started)
    }

    /// Until when a job waits that has waited since then.
    fn deadline(&self, since: Instant) -> Instant {
        match DockerReport::read(&self.layout) {
            Some(report) if report.phase == Phase::Unusable => since,
            Some(_) => since + TO_ANSWER,
            None => since + TO_APPEAR,
        }
    }

    /// What is known of why there is no daemon.
    fn last_words(&self, otherwise: &str) -> String {
        let is_started =
            DockerReport::read(&self.layout).is_some_and(|report| report.phase == Phase::Started);
        if is_started && !self.is_started() {
            return "the container `tools` has not brought the programs of Docker".to_owned();
        }
        last_words(&self.layout, otherwise)
    }
}

/// Whether the daemon answers now; without an answer in this time it does not.
pub(crate) async fn is_there(engine: Engine, layout: &Layout, patience: Duration) -> bool {
    let socket = socket(engine, layout);
    matches!(
        timeout(patience, Line::open(engine, &socket)).await,
        Ok(Ok(_))
    )
}

fn socket(engine: Engine, layout: &Layout) -> PathBuf {
    layout.at(match engine {
        Engine::Daemon => paths::DOCKER_SOCKET,
        Engine::Builder => paths::BUILDKIT_SOCKET,
    })
}

/// Watches the folder, or while it does not exist the nearest one above it that does.
fn watch_nearest(dir: &Path) -> io::Result<DirWatch> {
    let mut at = dir;
    loop {
        match (DirWatch::new(at), at.parent()) {
            (Err(error), Some(parent)) if error.kind() == io::ErrorKind::NotFound => at = parent,
            (result, _) => return result,
        }
    }
}

/// Asks the daemon whether it is there; gives the connection once it has said so.
async fn ping(socket: &Path) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket).await?;
    stream
        .write_all(b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    while !is_whole(&answer) {
        let mut buffer = [0; 512];
        match stream.read(&mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ if answer.len() > HEAD => return Err(io::ErrorKind::InvalidData.into()),
            count => answer.extend_from_slice(&buffer[..count]),
        }
    }
    if answer.starts_with(b"HTTP/1.1 200") {
        return Ok(stream);
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// Whether the answer is there with the two letters of its body: `OK`.
fn is_whole(answer: &[u8]) -> bool {
    const BLANK: &[u8] = b"\r\n\r\n";
    let head = answer
        .windows(BLANK.len())
        .position(|window| window == BLANK);
    head.is_some_and(|head| answer.len() >= head + BLANK.len() + 2)
}
