//! The job queue's decisions: which job starts, ends, waits. Pure: must not read clocks, files or
//! processes; the keeper feeds it events and carries out its effects.

use std::collections::BTreeMap;

use skiff_proto::{JobId, JobRecord, JobStatus};

use crate::record::Past;

#[cfg(test)]
mod tests;
mod transitions;

pub(crate) use transitions::closing_lines;

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A job was accepted: its record is on disk.
    Submitted {
        /// The record.
        record: JobRecord,
        /// What the job consists of.
        work: Work,
    },
    /// The process of the job's current stage ended and its output is in the log.
    Exited {
        /// The job.
        job: JobId,
        /// Its code; 128 + n where signal n ended it.
        code: i32,
        /// What the system knows of the reason, beyond the code.
        cause: Option<String>,
    },
    /// The process of the job's current stage could not be started.
    NotStarted {
        /// The job.
        job: JobId,
        /// Why.
        cause: String,
    },
    /// A user wants these jobs to end.
    Cancel {
        /// The jobs.
        jobs: Vec<JobId>,
    },
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
    /// Start the process of a stage.
    Start {
        /// The job.
        job: JobId,
        /// Its stage.
        stage: Stage,
        /// The job whose script it is: another one's where its setup must run again.
        scripts: JobId,
    },
    /// Tell the job's stage to end; its exit comes when all of its processes have gone.
    Terminate(JobId),
    /// Give Docker its time to answer.
    AwaitDocker,
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
    last_id: JobId,
    /// The job whose setup must run again before anything else does, as the container was made anew.
    setup_due: Option<JobId>,
    capacity: usize,
    docker: DockerGate,
    /// Whether no further job may start.
    closed: bool,
    leaving: Option<Departure>,
    departed: bool,
}

impl Queue {
    /// A queue that runs so many jobs at once, with the jobs of earlier days, all of them ended.
    pub(crate) fn new(capacity: usize, docker: bool, past: Past) -> Self {
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
            last_id: past.last_id,
            setup_due: past.setup,
            capacity,
            docker,
            closed: false,
            leaving: None,
            departed: false,
        }
    }

    /// How many jobs a pod with so many CPUs runs at once: each takes half a CPU.
    pub(crate) fn capacity_of(cpus: f64) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates"
        )]
        let slots = (cpus * 2.0).floor() as usize;
        slots.max(1)
    }

    /// All records, oldest first.
    pub(crate) fn records(&self) -> impl DoubleEndedIterator<Item = &JobRecord> {
        self.jobs.values().map(|job| &job.record)
    }

    /// One job's record.
    pub(crate) fn record(&self, job: JobId) -> Option<&JobRecord> {
        self.jobs.get(&job).map(|job| &job.record)
    }

    /// The number of the next job.
    pub(crate) fn next_id(&self) -> JobId {
        self.last_id + 1
    }

    /// Whether the agent is going.
    pub(crate) fn is_leaving(&self) -> bool {
        self.closed
    }

    /// How many jobs have not ended.
    pub(crate) fn unfinished(&self) -> usize {
        let jobs = self.jobs.values();
        jobs.filter(|job| job.stage != Stage::Over).count()
    }
}

/// The queue after an event, and what must be done about it.
pub(crate) fn step(mut queue: Queue, now_ms: u64, event: Event) -> (Queue, Vec<Effect>) {
    let mut effects = Vec::new();
    queue.take(now_ms, event, &mut effects);
    queue.start_next(now_ms, &mut effects);
    if queue.leaving.is_some() && !queue.departed && queue.active() == 0 {
        queue.departed = true;
        effects.push(Effect::Depart);
    }
    (queue, effects)
}

impl Job {
    fn ended(record: JobRecord) -> Self {
        debug_assert!(
            record.status.is_final(),
            "only ended jobs survive a restart"
        );
        let work = Work {
            setup: false,
            run: false,
        };
        Self {
            record,
            work,
            stage: Stage::Over,
            demand: None,
            docker_lost: None,
        }
    }

    fn is_active(&self) -> bool {
        matches!(self.stage, Stage::Setup | Stage::Run)
    }
}

/// What ends a job.
struct Outcome {
    status: JobStatus,
    code: Option<i32>,
    cause: Option<String>,
}
