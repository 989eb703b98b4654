//! The requests that a client makes of the agent, and its answers.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::tree::SyncRoot;
use crate::{
    Autostop, DockerFacts, Ending, HookEvent, JobId, JobRecord, JobSpec, OwnerAccess, StageEnd,
    StageOrder,
};

/// The first frame of each side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The highest protocol version that the sender speaks.
    pub protocol: u16,
    /// The sender's build, for messages only.
    pub build: String,
    /// Set by the agent: an identity that changes whenever the agent restarts.
    #[serde(default)]
    pub boot: String,
}

/// What a client asks for; each request has an id, and its answer carries the same one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Queue a job.
    Submit {
        /// The job.
        job: JobSpec,
    },
    /// Send a job's output as data frames of this id, from `offset`, then the final record.
    Logs {
        /// Which job.
        job: LogSource,
        /// First byte wanted. A client that lost its connection asks for the first byte it has not seen.
        offset: u64,
        /// Only the last so many lines of what is there already; ignored unless `offset` is 0.
        #[serde(default)]
        tail: Option<u64>,
        /// Whether to wait for more until the job ends.
        follow: bool,
        /// Which of the job's logs.
        #[serde(default)]
        part: LogPart,
    },
    /// Which logs there are of a job; answered by `LogFiles`.
    LogFiles {
        /// Which job.
        job: LogSource,
    },
    /// All jobs, oldest first; answered by `Jobs`, which leaves the oldest out where one frame cannot
    /// hold all of them.
    Queue,
    /// Cancel these jobs, or every unfinished one where the list is empty. Answered by `Jobs` with the
    /// records of these jobs when all of them have ended, after 10 s at most; a number that no job has
    /// is `NotFound` and nothing is cancelled; a job that had ended already stays as it is.
    Cancel {
        /// The jobs' numbers.
        jobs: Vec<JobId>,
    },
    /// What the agent knows of Docker in this pod.
    Docker,
    /// The addresses of the cluster's nodes by rank, the head's first. Told to the head whenever pods were made; it
    /// remembers them.
    Nodes {
        /// The pods' addresses.
        addresses: Vec<String>,
    },
    /// Run one stage of a job on this node: what a head asks of a worker. Answered by `StageStarted`, then data frames
    /// with what the processes write, then `StageEnded`. `End` from the head ends the stage's processes: SIGTERM, and
    /// SIGKILL after 10 s. So does the loss of the connection.
    Stage {
        /// What to run.
        order: StageOrder,
    },
    /// Run the hooks, end all jobs and the daemon, answer, and exit with 0.
    Shutdown {
        /// What becomes of the cluster, which decides about the hooks.
        #[serde(default)]
        ending: Ending,
    },
    /// End by itself after a time without work, counted from now; never where there is none. Answered by `Done` when it
    /// is on disk.
    SetAutostop {
        /// After what.
        autostop: Option<Autostop>,
        /// With what the agent may delete its cluster, once it has taken itself down.
        #[serde(default)]
        owner: Option<Box<OwnerAccess>>,
    },
    /// Run this node's hooks of an event now, unless its hooks have run before: what a leaving head asks of a worker.
    /// Answered by `Done` when they have ended.
    RunHooks {
        /// Of what.
        event: HookEvent,
    },
    /// What goes on at this node beside its head's jobs: what a head asks of a worker before it leaves for idleness.
    /// Answered by `Activity`.
    Activity,
    /// Bring trees of files to all nodes. Data frames of this id carry the manifest: entries in their order, compressed.
    /// It is answered by data frames with the needs and by `Needs`; then data frames carry the contents, compressed, and
    /// `End` ends them. Answered by `Done` when every node has every tree at its place. Whatever breaks before that
    /// changes nothing, and what has arrived need not be sent again.
    Sync {
        /// The client's name of this sync: one of the same name that is still under way ends.
        sync: String,
        /// Where the trees go.
        roots: Vec<SyncRoot>,
        /// Bytes of the compressed manifest.
        manifest: u64,
    },
    /// What a head asks of a worker for as long as it is linked to it: answered by `Leaving` once the worker begins to
    /// leave.
    AwaitLeave,
}

/// Which job's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogSource {
    /// The newest job.
    Latest,
    /// By its number.
    Id(JobId),
    /// By the client's own id of the submission (sent right behind a `Submit`, without waiting).
    Submission(String),
}

/// Which of a job's logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogPart {
    /// The one with the lines of all its processes.
    #[default]
    Job,
    /// That of its run command on the node of this rank among its nodes.
    Rank(u32),
    /// One by its name in the job's folder.
    File(String),
}

/// One log in a job's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFile {
    /// Its name in the job's folder: `run.log`, `tasks/0-head.log`.
    pub name: String,
    /// The offset of the first byte that is kept.
    pub start: u64,
    /// The offset behind the last byte.
    pub end: u64,
}

/// The agent's answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "snake_case")]
pub enum Response {
    /// Done; nothing more to say.
    Done,
    /// The job is in the queue and its record on disk.
    Submitted {
        /// Its record.
        job: JobRecord,
    },
    /// Sent before a log's first data frame: the job, and the offset of the first byte that follows.
    LogStart {
        /// The job's record now.
        job: JobRecord,
        /// The offset in the log of the first byte that will be sent.
        offset: u64,
    },
    /// The logs that there are of a job.
    LogFiles {
        /// The job's record now.
        job: JobRecord,
        /// Its logs, by name.
        files: Vec<LogFile>,
    },
    /// So many bytes of the log at this place are not kept any more: the next data are those behind them.
    LogGap {
        /// How many.
        bytes: u64,
    },
    /// The log's end as far as asked for: final when the job has ended.
    LogEnd {
        /// The job's record now.
        job: JobRecord,
    },
    /// Some jobs, oldest first.
    Jobs {
        /// Their records.
        jobs: Vec<JobRecord>,
    },
    /// The stage's process runs.
    StageStarted {
        /// Its number on its node.
        pid: u32,
    },
    /// The stage's process has ended, and where it was told to end, all of its processes.
    StageEnded {
        /// How.
        end: StageEnd,
    },
    /// Docker's state.
    Docker {
        /// The state.
        state: DockerState,
        /// What its sidecar found and chose; None where it has not begun.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        facts: Option<Box<DockerFacts>>,
    },
    /// What goes on at a node.
    Activity {
        /// SSH sessions that are open.
        sessions: u64,
        /// Milliseconds since the last one ended, where there was one.
        quiet_ms: Option<u64>,
    },
    /// It could not be done.
    Failed {
        /// Why.
        fault: Fault,
    },
    /// The needs of a sync have been sent: contents may follow.
    Needs,
    /// The node begins to leave: what runs there goes on for a while, and nothing more is to be started.
    Leaving {
        /// Why.
        cause: String,
    },
}

/// What the agent knows of the Docker daemon beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "docker")]
pub enum DockerState {
    /// The task did not ask for Docker.
    Off,
    /// The daemon does not answer yet.
    Starting,
    /// The daemon answers.
    Ready,
    /// The daemon ended; the text is the tail of its log.
    Failed {
        /// The last lines that it wrote.
        log: String,
    },
}

/// Why the agent refused a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What kind of refusal, for code.
    pub kind: FaultKind,
    /// What happened, for people: a lower-case fragment without a period.
    pub message: String,
}

/// The kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The agent does not know the request: it is older or newer than the client.
    Unsupported,
    /// There is no such job.
    NotFound,
    /// The request's own content is wrong.
    Invalid,
    /// The pod's disk is full.
    DiskFull,
    /// Anything else that the system refused.
    System,
    /// The agent is going down.
    ShuttingDown,
    /// Files changed while they were synced: the same again will do.
    Changed,
    /// A node of the cluster is not there.
    NodeLost,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}
