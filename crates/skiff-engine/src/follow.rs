//! A job's output, from its first byte to its last, over as many connections as it takes.

use std::io;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use skiff_kube::{Cluster, Diagnosis, PodState, observe};
use skiff_proto::{FaultKind, Frame, JobId, JobRecord, LogPart, LogSource, Request, Response};
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::connect::{AgentError, Connection};
use crate::provision::CONTAINERS;
use crate::{Event, Interrupt, Reporter};
use skiff_wire::SessionError;

/// How long a lost connection is tried again.
const GIVE_UP: Duration = Duration::from_mins(3);
/// The pause before the second try; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Events that tell why a pod had to go.
pub(crate) const ENDS: &[&str] = &[
    "Evicted",
    "Preempted",
    "TaintManagerEviction",
    "NodeNotReady",
    "DeletingNode",
];

/// Which log, and how much of it.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// The job; None is the newest one.
    pub job: Option<JobId>,
    /// Which of its logs.
    pub part: LogPart,
    /// Whether to stay until the job ends.
    pub follow: bool,
    /// Only the last lines of what is there already.
    pub tail: Option<u64>,
}

impl LogOptions {
    /// Asks for what has not been read yet.
    fn request(&self, place: &Place) -> Request {
        let job = match (&place.job, self.job) {
            (Some(job), _) => LogSource::Id(job.id),
            (None, Some(id)) => LogSource::Id(id),
            (None, None) => LogSource::Latest,
        };
        Request::Logs {
            job,
            offset: place.offset,
            // Lines counted from the end mean something only the first time.
            tail: self.tail.filter(|_| place.job.is_none()),
            follow: self.follow,
            part: self.part.clone(),
        }
    }
}

/// How reading a log ended.
#[derive(Debug)]
pub enum Outcome {
    /// The log is read as far as was asked for; the job may have ended.
    Read(JobRecord),
    /// The user ended it; the job goes on.
    Interrupted(JobRecord),
}

/// Why a log could not be read to its end.
#[derive(Debug, Error)]
pub enum FollowError {
    /// The agent could not be asked, or refused.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The connection was lost for too long.
    #[error("lost the connection to pod {pod} for {} s", GIVE_UP.as_secs())]
    Lost {
        /// The pod.
        pod: String,
        /// The last failure.
        #[source]
        source: Box<AgentError>,
    },
    /// The pod is no more.
    #[error("pod {pod} is gone{}", .why.as_ref().map_or_else(String::new, |why| format!(": {why}")))]
    Gone {
        /// The pod.
        pod: String,
        /// What the cluster's events say.
        why: Option<String>,
    },
    /// The pod has ended and will not run again.
    #[error("{0}")]
    Ended(Diagnosis),
    /// The output cannot be written any more.
    #[error("cannot write the job's output")]
    Output(#[source] io::Error),
    /// The user ended it before anything of the job was seen.
    #[error("interrupted")]
    Interrupted,
}

impl FollowError {
    /// Whether there is no such job.
    pub fn is_job_not_found(&self) -> bool {
        matches!(self, Self::Agent(AgentError::Session { source: SessionError::Refused(fault), .. })
            if fault.kind == FaultKind::NotFound)
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Agent(error) => error.hint(),
            Self::Lost { source, .. } => source.hint(),
            Self::Ended(diagnosis) => diagnosis.hint.clone(),
            Self::Gone { .. } => Some("the job went with it; launch it again".to_owned()),
            Self::Output(_) | Self::Interrupted => None,
        }
    }
}

/// Streams a job's log until it ends or the user has enough, over `connection` for as long as that holds.
pub(crate) async fn follow(
    retries: Retries<'_>,
    connection: Option<Connection>,
    options: &LogOptions,
    interrupt: &Interrupt,
    reporter: &dyn Reporter,
) -> Result<Outcome, FollowError> {
    let mut place = Place::default();
    let mut screen = Screen {
        reporter,
        in_line: false,
    };
    let reading = read(
        retries,
        connection,
        options,
        &mut place,
        &mut screen,
        reporter,
    );
    match interrupt.unless(reading).await {
        Some(Ok(job)) => Ok(Outcome::Read(job)),
        Some(Err(error)) => Err(error),
        None => place
            .job
            .map(Outcome::Interrupted)
            .ok_or(FollowError::Interrupted),
    }
}

/// How far a log has been read.
#[derive(Default)]
pub(crate) struct Place {
    job: Option<JobRecord>,
    /// The first byte that has not been read.
    pub(crate) offset: u64,
}

impl Place {
    /// At an offset.
    pub(crate) fn at(offset: u64) -> Self {
        Self { job: None, offset }
    }
}

/// Where a log goes.
pub(crate) trait Sink: Send {
    /// Takes the next bytes.
    fn data(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// So many bytes at `offset` are not to be had any more.
    fn gap(&mut self, offset: u64, bytes: u64) -> io::Result<()>;
}

/// The user's screen.
struct Screen<'a> {
    reporter: &'a dyn Reporter,
    /// Whether what was shown ends in the midst of a line.
    in_line: bool,
}

impl Sink for Screen<'_> {
    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.in_line = bytes.last().is_some_and(|byte| *byte != b'\n');
        self.reporter.log(bytes)
    }

    fn gap(&mut self, offset: u64, bytes: u64) -> io::Result<()> {
        let feed = if std::mem::take(&mut self.in_line) {
            "\n"
        } else {
            ""
        };
        let line = format!("{feed}{}\n", gap_line(offset, bytes));
        self.reporter.log(line.as_bytes())
    }
}

/// Says that some of a log is missing.
pub(crate) fn gap_line(offset: u64, bytes: u64) -> String {
    let why = if offset == 0 {
        "they are not kept any more"
    } else {
        "the reader was too slow"
    };
    format!("[{bytes} bytes of output were left out: {why}]")
}

/// Reads a log from a place on, without an interrupt.
pub(crate) async fn read(
    mut retries: Retries<'_>,
    mut connection: Option<Connection>,
    options: &LogOptions,
    place: &mut Place,
    sink: &mut dyn Sink,
    reporter: &dyn Reporter,
) -> Result<JobRecord, FollowError> {
    loop {
        let before = place.offset;
        match read_some(
            &mut retries,
            connection.take(),
            options,
            place,
            sink,
            reporter,
        )
        .await
        {
            Err(FollowError::Agent(error)) if error.is_transient() => {
                if place.offset > before {
                    retries.start_over();
                }
                retries.pause(error, reporter).await?;
            }
            ended => return ended,
        }
    }
}

/// Reads over one connection, a new one where none is given.
async fn read_some(
    retries: &mut Retries<'_>,
    connection: Option<Connection>,
    options: &LogOptions,
    place: &mut Place,
    sink: &mut dyn Sink,
    reporter: &dyn Reporter,
) -> Result<JobRecord, FollowError> {
    let pod = retries.pod;
    let failed = |source| FollowError::Agent(Connection::failed(pod, source));
    let connection = match connection {
        Some(connection) => connection,
        None => retries.open().await?,
    };
    retries.connected(reporter);
    let request = options.request(place);
    let mut call = connection.start(request).await?;
    loop {
        match call.next().await.map_err(failed)? {
            Frame::Response(_, Response::LogStart { job, offset }) => {
                place.offset = offset;
                place.job = Some(job);
            }
            Frame::Response(_, Response::LogGap { bytes }) => {
                sink.gap(place.offset, bytes).map_err(FollowError::Output)?;
                place.offset += bytes;
            }
            Frame::Response(_, Response::LogEnd { job }) => return Ok(job),
            Frame::Data(_, bytes) => {
                sink.data(&bytes).map_err(FollowError::Output)?;
                place.offset += bytes.len() as u64;
                call.credit(bytes.len()).await.map_err(failed)?;
            }
            Frame::End(_) => {}
            _ => return Err(failed(SessionError::Unexpected)),
        }
    }
}

/// Tries again after lost connections, as long as the pod can still be there.
pub(crate) struct Retries<'a> {
    cluster: &'a Cluster,
    pod: &'a str,
    since: Option<Instant>,
    pause: Duration,
    /// Whether the API server has ever answered: one that never did is not waited for.
    answered: bool,
}

impl<'a> Retries<'a> {
    pub(crate) fn new(cluster: &'a Cluster, pod: &'a str) -> Self {
        Self {
            cluster,
            pod,
            since: None,
            pause: FIRST_PAUSE,
            answered: false,
        }
    }

    /// For a command that the API server has answered before.
    pub(crate) fn answered(mut self) -> Self {
        self.answered = true;
        self
    }

    /// A new connection.
    pub(crate) async fn open(&self) -> Result<Connection, AgentError> {
        Connection::open(self.cluster, self.pod).await
    }

    /// What went before does not count any more.
    pub(crate) fn start_over(&mut self) {
        self.pause = FIRST_PAUSE;
    }

    pub(crate) fn connected(&mut self, reporter: &dyn Reporter) {
        self.answered = true;
        if self.since.take().is_some() {
            reporter.event(Event::Reconnected);
        }
    }

    /// Waits before the next try, or says why there is none.
    pub(crate) async fn pause(
        &mut self,
        error: AgentError,
        reporter: &dyn Reporter,
    ) -> Result<(), FollowError> {
        if error.is_unreachable() && !self.answered {
            return Err(FollowError::Agent(error));
        }
        self.check_pod().await?;
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() > GIVE_UP {
            return Err(FollowError::Lost {
                pod: self.pod.to_owned(),
                source: Box::new(error),
            });
        }
        reporter.event(Event::Reconnecting {
            reason: error_text(&error),
        });
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }

    /// A pod that is gone or has ended answers no more; an API server that does not answer says nothing.
    async fn check_pod(&self) -> Result<(), FollowError> {
        match self.cluster.get::<Pod>(self.pod).await {
            Ok(None) => Err(FollowError::Gone {
                pod: self.pod.to_owned(),
                why: self.cluster.pod_event(self.pod, ENDS).await,
            }),
            Ok(Some(pod)) => match observe(&pod, CONTAINERS) {
                PodState::Completed => Err(FollowError::Gone {
                    pod: self.pod.to_owned(),
                    why: Some("the cluster was taken down".to_owned()),
                }),
                PodState::Failed(diagnosis) => Err(FollowError::Ended(diagnosis)),
                _ => Ok(()),
            },
            Err(_) => Ok(()),
        }
    }
}

/// Why a pod will not run again, in one fragment; None where it may.
pub(crate) async fn gone(cluster: &Cluster, pod: &str) -> Option<String> {
    let retries = Retries::new(cluster, pod);
    retries
        .check_pod()
        .await
        .err()
        .map(|error| error.to_string())
}

/// The innermost reason, for one line of progress.
fn error_text(error: &AgentError) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
