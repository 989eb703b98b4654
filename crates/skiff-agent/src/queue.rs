//! The job queue's decisions: which job starts where, ends, waits. Pure: must not read clocks, files or
//! processes; the keeper feeds it events and carries out its effects.

use std::collections::{BTreeMap, BTreeSet};

use skiff_proto::{JobId, JobRecord, JobStatus};

use crate::record::Past;

mod ending;
mod nodes;
mod slots;
#[cfg(test)]
mod tests;
mod transitions;
mod turns;

pub(crate) use ending::closing_lines;
use nodes::Members;
use slots::Slots;
pub(crate) use slots::{Capacity, Need, Share};

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A job was accepted: its record is on disk.
    Submitted {
        /// The record.
        record: Box<JobRecord>,
        /// What the job consists of.
        work: Work,
    },
    /// The job's current stage ended on a node, and its output there is in the log.
    Ended {
        /// The job.
        job: JobId,
        /// The node's rank in the cluster.
        node: u32,
        /// How.
        end: NodeEnd,
    },
    /// A user wants these jobs to end.
    Cancel {
        /// The jobs.
        jobs: Vec<JobId>,
    },
    /// A node is there.
    NodeJoined {
        /// Its rank.
        node: u32,
        /// Whether its container was made anew since it was last there.
        is_restarted: bool,
    },
    /// A node is not there any more.
    NodeLost {
        /// Its rank.
        node: u32,
        /// What is known of the reason.
        cause: String,
    },
    /// The time that a job waits for absent nodes is over; the number is that of the wait.
    NodesLate(u64),
    /// The Docker daemon answers.
    DockerReady,
    /// The Docker daemon is gone.
    DockerLost {
        /// What is known of the reason.
        cause: String,
    },
    /// The Docker daemon did not answer in the time that a job waits for it.
    DockerLate {
        /// What is known of the reason.
        cause: String,
    },
    /// The agent will go: no further job starts.
    Close,
    /// The agent must go: all jobs end.
    Leave(Departure),
}

/// How a stage ended on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NodeEnd {
    /// Its process ended, and where it was told to end, all processes of the job there.
    Exited {
        /// Its code; 128 + n where signal n ended it.
        code: i32,
        /// What the node knows of the reason, beyond the code.
        cause: Option<String>,
    },
    /// It could not be started.
    NotStarted {
        /// Why.
        cause: String,
    },
    /// The node is gone.
    Lost {
        /// What is known of the reason.
        cause: String,
    },
}

/// Why the agent goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Departure {
    /// A user takes the cluster down.
    Down,
    /// A user stops the cluster.
    Stop,
    /// The cluster's time without work, or its time at all, is over.
    Idle,
    /// The system told the container to stop.
    Stopped,
}

/// What the keeper must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Append these lines to the job's log.
    Log(JobId, Vec<String>),
    /// Publish the job's record and write it to disk.
    Save(JobId),
    /// Start a stage on these nodes at once.
    Start {
        /// The job.
        job: JobId,
        /// Its stage.
        stage: Stage,
        /// The job whose script it is: another one's where its setup must run again.
        scripts: JobId,
        /// Where, in the order of the job's ranks.
        shares: Vec<Share>,
    },
    /// Tell the job's processes on these nodes to end, and see to it that they do.
    Terminate(JobId, Vec<u32>),
    /// Give Docker its time to answer.
    AwaitDocker,
    /// Give absent nodes their time to join, and then say that this wait is over.
    AwaitNodes(u64),
    /// Everything has ended: leave.
    Depart,
}

/// What a job consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    /// Whether it has a setup.
    pub(crate) setup: bool,
    /// Whether it has a run command.
    pub(crate) run: bool,
    /// What it takes.
    pub(crate) need: Need,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Waits for its turn.
    Queued,
    /// Its setup runs.
    Setup,
    /// Its run command runs.
    Run,
    /// It has ended.
    Over,
}

/// Why a job was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    Cancel,
    Leave(Departure),
}

#[derive(Clone, Debug)]
struct Job {
    record: JobRecord,
    work: Work,
    stage: Stage,
    demand: Option<Demand>,
    /// Where its run command runs, by its ranks.
    shares: Vec<Share>,
    /// The nodes of the current stage, in its order, with their codes once it has ended there.
    codes: Vec<(u32, Option<i32>)>,
    /// The first node's end that ended the stage on all others.
    failure: Option<(u32, NodeEnd)>,
    /// What is known of a daemon that died while the job ran.
    docker_lost: Option<String>,
}

/// Whether jobs may count on Docker.
#[derive(Clone, Debug, PartialEq, Eq)]
enum DockerGate {
    /// The task has none, or the daemon answers.
    Open,
    /// The daemon does not answer; `awaited` once a job waits for it.
    Shut { awaited: bool },
}

/// All jobs, and what decides their turns.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    jobs: BTreeMap<JobId, Job>,
    /// Those that wait for their turn, and those that run: what an event has to look at.
    queued: BTreeSet<JobId>,
    active: BTreeSet<JobId>,
    last_id: JobId,
    slots: Slots,
    members: Members,
    docker: DockerGate,
    /// Whether no further job may start.
    closed: bool,
    leaving: Option<Departure>,
    departed: bool,
}

impl Queue {
    /// A queue for a cluster of these nodes, with the jobs of earlier days, all of them ended.
    pub(crate) fn new(capacity: Capacity, docker: bool, past: Past) -> Self {
        let members = Members::new(capacity.nodes, past.setup);
        let jobs = past
            .records
            .into_iter()
            .map(|record| (record.id, Job::ended(record)))
            .collect();
        let docker = if docker {
            DockerGate::Shut { awaited: false }
        } else {
            DockerGate::Open
        };
        Self {
            jobs,
            queued: BTreeSet::new(),
            active: BTreeSet::new(),
            last_id: past.last_id,
            slots: Slots::new(capacity),
            members,
            docker,
            closed: false,
            leaving: None,
            departed: false,
        }
    }

    /// Why a job can never run here; None where it can.
    pub(crate) fn refusal(&self, need: Need) -> Option<String> {
        self.slots.capacity().refusal(need)
    }

    /// Whether the nodes have GPUs.
    pub(crate) fn has_gpus(&self) -> bool {
        self.slots.capacity().gpus > 0
    }

    /// All records, oldest first.
    pub(crate) fn records(&self) -> impl DoubleEndedIterator<Item = &JobRecord> {
        self.jobs.values().map(|job| &job.record)
    }

    /// Those of jobs that have not ended, oldest first.
    pub(crate) fn unfinished(&self) -> Vec<JobId> {
        self.active.union(&self.queued).copied().collect()
    }

    /// One job's record.
    pub(crate) fn record(&self, job: JobId) -> Option<&JobRecord> {
        self.jobs.get(&job).map(|job| &job.record)
    }

    /// The highest number that a job has.
    pub(crate) fn last_id(&self) -> JobId {
        self.last_id
    }

    /// Whether the agent is going.
    pub(crate) fn is_leaving(&self) -> bool {
        self.closed
    }

    /// How many jobs have not ended.
    pub(crate) fn unfinished_count(&self) -> usize {
        self.active.len() + self.queued.len()
    }
}

/// The queue after an event, and what must be done about it.
pub(crate) fn step(mut queue: Queue, now_ms: u64, event: Event) -> (Queue, Vec<Effect>) {
    let mut effects = Vec::new();
    queue.take(now_ms, event, &mut effects);
    queue.start_next(now_ms, &mut effects);
    if queue.leaving.is_some() && !queue.departed && queue.active.is_empty() {
        queue.departed = true;
        effects.push(Effect::Depart);
    }
    (queue, effects)
}

impl Job {
    fn new(record: JobRecord, work: Work, stage: Stage) -> Self {
        Self {
            record,
            work,
            stage,
            demand: None,
            shares: Vec::new(),
            codes: Vec::new(),
            failure: None,
            docker_lost: None,
        }
    }

    fn ended(record: JobRecord) -> Self {
        debug_assert!(
            record.status.is_final(),
            "only ended jobs survive a restart"
        );
        let need = Need {
            nodes: record.num_nodes,
            milli_gpus: 0,
        };
        let work = Work {
            setup: false,
            run: false,
            need,
        };
        Self::new(record, work, Stage::Over)
    }

    fn is_active(&self) -> bool {
        matches!(self.stage, Stage::Setup | Stage::Run)
    }

    /// The nodes on which the current stage has not ended.
    fn still_on(&self) -> Vec<u32> {
        let running = self.codes.iter().filter(|(_, code)| code.is_none());
        running.map(|(node, _)| *node).collect()
    }
}

/// What ends a job.
struct Outcome {
    status: JobStatus,
    code: Option<i32>,
    cause: Option<String>,
}

impl Outcome {
    fn succeeded() -> Self {
        Self {
            status: JobStatus::Succeeded,
            code: Some(0),
            cause: None,
        }
    }

    /// Of a job whose own commands are not what failed.
    fn failed(cause: String) -> Self {
        Self {
            status: JobStatus::Failed,
            code: None,
            cause: Some(cause),
        }
    }
}
