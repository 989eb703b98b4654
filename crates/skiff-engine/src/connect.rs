//! From a pod's name to a conversation with its agent.

use std::time::Duration;

use skiff_kube::{ApiError, Cluster, ExecEnd};
use skiff_proto::{FaultKind, PROTOCOL_VERSION, Request, Response};
use thiserror::Error;
use tokio::time::timeout;

use skiff_wire::{Call, Patience, Session, SessionError};

/// The container that the agent runs in.
pub(crate) const CONTAINER: &str = "task";
/// The agent's own client end in the pod.
const CONNECT: &[&str] = &["/skiff/bin/task", "connect"];
/// Time for the stream to be opened and greeted.
const GREETING: Duration = Duration::from_secs(30);

/// Why the agent could not be spoken to.
#[derive(Debug, Error)]
pub enum AgentError {
    /// The API server did not open a stream.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// No conversation began in time.
    #[error("the agent in pod {pod} has not answered within {} s", .after.as_secs())]
    Silent {
        /// The pod.
        pod: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The stream was opened, and then the conversation failed.
    #[error("{} pod {pod}", tried(.source))]
    Session {
        /// The pod.
        pod: String,
        /// Why.
        #[source]
        source: SessionError,
    },
}

impl AgentError {
    /// Whether the API server gave no answer at all.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Api(error) if error.is_unreachable())
    }

    /// Whether another try may succeed: the connection is at fault, not the request.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Api(error) => error.is_transient(),
            Self::Silent { .. } => true,
            Self::Session { source, .. } => match source {
                SessionError::Lost(_) => true,
                // It comes back, or its cluster is at an end, which the pods tell.
                SessionError::Refused(fault) => fault.kind == FaultKind::NodeLost,
                _ => false,
            },
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Api(error) => error.hint(),
            Self::Session {
                source: SessionError::Version { theirs },
                ..
            } => Some(version_hint(*theirs)),
            Self::Session {
                source: SessionError::Refused(fault),
                ..
            } => refusal_hint(fault.kind),
            Self::Silent { .. }
            | Self::Session {
                source: SessionError::Lost(_),
                ..
            } => Some(
                "try again; an agent that stays silent is replaced by `skiff down` and a new launch"
                    .to_owned(),
            ),
            Self::Session { .. } => None,
        }
    }
}

fn tried(source: &SessionError) -> &'static str {
    match source {
        SessionError::Refused(_) => "the request was refused in",
        _ => "cannot talk to the agent in",
    }
}

fn version_hint(theirs: u16) -> String {
    let again = "take the cluster down and launch it again with this one";
    if theirs > PROTOCOL_VERSION {
        format!("use a newer Skiff, or {again}")
    } else {
        format!("use the Skiff that launched the cluster, or {again}")
    }
}

fn refusal_hint(kind: FaultKind) -> Option<String> {
    match kind {
        FaultKind::NotFound => Some("`skiff queue` lists the jobs".to_owned()),
        FaultKind::DiskFull => Some(
            "free some of the pod's disk, or leave files out of the workdir with a .skyignore"
                .to_owned(),
        ),
        FaultKind::ShuttingDown => Some("launch the cluster again once it is down".to_owned()),
        FaultKind::Unsupported => {
            Some("relaunch the cluster: its agent is of another version than this Skiff".to_owned())
        }
        FaultKind::Changed => {
            Some("leave files that change all the time out with a .skyignore".to_owned())
        }
        FaultKind::NodeLost => Some("`skiff status -v` tells how the nodes are".to_owned()),
        FaultKind::Invalid | FaultKind::System => None,
    }
}

/// An open conversation with the agent of one pod.
pub(crate) struct Connection {
    pod: String,
    session: Session,
    /// The stream ends when this is dropped.
    _stream: ExecEnd,
}

impl Connection {
    /// Opens a stream to the pod's agent and greets it.
    pub(crate) async fn open(cluster: &Cluster, pod: &str) -> Result<Self, AgentError> {
        Self::open_within(GREETING, cluster, pod).await
    }

    /// The same, with this much time for it.
    pub(crate) async fn open_within(
        patience: Duration,
        cluster: &Cluster,
        pod: &str,
    ) -> Result<Self, AgentError> {
        let turn = cluster.turn(pod).await;
        let attempt = async {
            let stream = cluster.exec(turn, pod, CONTAINER, CONNECT).await?;
            let session = Session::open(stream.stdin, stream.stdout, Patience::CLIENT).await;
            match session {
                Ok(session) => Ok(Self {
                    pod: pod.to_owned(),
                    session,
                    _stream: stream.end,
                }),
                Err(SessionError::Lost(_)) => {
                    let reason = stream.end.reason().await;
                    Err(Self::failed(pod, SessionError::Lost(reason)))
                }
                Err(source) => Err(Self::failed(pod, source)),
            }
        };
        timeout(patience, attempt).await.unwrap_or_else(|_| {
            Err(AgentError::Silent {
                pod: pod.to_owned(),
                after: patience,
            })
        })
    }

    /// Makes a request and gives its answer.
    pub(crate) async fn ask(&self, request: Request) -> Result<Response, AgentError> {
        self.session
            .ask(request)
            .await
            .map_err(|source| Self::failed(&self.pod, source))
    }

    pub(crate) async fn start(&self, request: Request) -> Result<Call, AgentError> {
        self.session
            .start(request)
            .await
            .map_err(|source| Self::failed(&self.pod, source))
    }

    /// Says in which pod a conversation failed.
    pub(crate) fn failed(pod: &str, source: SessionError) -> AgentError {
        AgentError::Session {
            pod: pod.to_owned(),
            source,
        }
    }

    /// The pod at the other end.
    pub(crate) fn pod(&self) -> &str {
        &self.pod
    }
}
