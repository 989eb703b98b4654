//! Stages of jobs on this node: each is a process, what it and its descendants write, and its end.
//!
//! The same for the head's own node and for a worker. Must not know logs, queues or links: whoever started a stage takes
//! its events one after the other.

use std::sync::Arc;
use std::time::Duration;

use skiff_proto::{StageEnd, StageOrder};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::environment::Surroundings;
use crate::memory_sampler::MemorySampler;
use crate::reaper::Reaper;

mod count;
mod ending;
mod process;
mod processes;
mod script;
mod witness;

use count::Count;
use process::{Process, StartError};
use witness::Witness;

/// How long stages that were told to end may take, at most.
const END: Duration = Duration::from_secs(20);

/// Events that wait for whoever takes them: with the largest outputs, 256 KiB.
const EVENTS: usize = 4;

/// What happens to a stage, in order: it starts, writes, ends. What it has left in the background writes on after its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StageEvent {
    /// Its process runs.
    Started {
        /// The process's number on its node.
        pid: u32,
    },
    /// Some of what its processes wrote.
    Output(Vec<u8>),
    /// Its process has ended and all that it wrote has come before; where it was told to end, all of its processes have.
    Ended(StageEnd),
    /// It could not be started; nothing more comes.
    NotStarted {
        /// Why.
        cause: String,
    },
    /// Its node was lost, and what becomes of it is not known; nothing more comes.
    Lost {
        /// The node's name.
        node: String,
        /// Why.
        why: String,
    },
}

/// What a stage was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Demand {
    /// Nothing.
    #[default]
    None,
    /// To end: SIGTERM, and SIGKILL after 10 s.
    Terminate,
    /// To end at once: SIGKILL.
    Kill,
}

/// Tells a stage to end. When the last one is dropped, a stage that has not ended is told to.
#[derive(Clone, Debug)]
pub(crate) struct StageControl(Arc<watch::Sender<Demand>>);

impl StageControl {
    /// Ends all processes of the stage's job on its node: SIGTERM, and SIGKILL after 10 s. No effect on one that has ended.
    pub(crate) fn terminate(&self) {
        self.demand(Demand::Terminate);
    }

    /// Ends them at once.
    pub(crate) fn kill(&self) {
        self.demand(Demand::Kill);
    }

    fn demand(&self, demand: Demand) {
        self.0.send_if_modified(|told| {
            let is_more = demand > *told;
            *told = demand.max(*told);
            is_more
        });
    }
}

/// A stage under way, here or on another node.
#[derive(Debug)]
pub(crate) struct Stage {
    control: StageControl,
    events: mpsc::Receiver<StageEvent>,
}

/// The other side of a [`Stage`]: what makes its events and hears its demands.
#[derive(Debug)]
pub(crate) struct Driver {
    /// Where events go. It is closed where nobody wants them any more.
    pub(crate) events: mpsc::Sender<StageEvent>,
    /// What the stage was told. It is closed where nobody controls the stage any more, which means [`Demand::Terminate`].
    pub(crate) demand: watch::Receiver<Demand>,
}

impl Stage {
    /// A stage that is driven by somebody.
    pub(crate) fn new() -> (Self, Driver) {
        let (events, taken) = mpsc::channel(EVENTS);
        let (control, demand) = watch::channel(Demand::None);
        let control = StageControl(Arc::new(control));
        let stage = Self {
            control,
            events: taken,
        };
        (stage, Driver { events, demand })
    }

    /// The next event; None when there will be no more.
    pub(crate) async fn next(&mut self) -> Option<StageEvent> {
        self.events.recv().await
    }

    /// A way to end it while its events are awaited elsewhere.
    pub(crate) fn control(&self) -> StageControl {
        self.control.clone()
    }
}

/// Starts stages on this node.
#[derive(Clone, Debug)]
pub(crate) struct Stages {
    surroundings: Arc<Surroundings>,
    reaper: Reaper,
    memory: Option<MemorySampler>,
    /// Those that have not ended.
    active: Count,
    /// Those that end because nobody controls them any more.
    abandoned: Count,
    /// Set when all have to end, to the cause that they then have.
    leaving: Arc<watch::Sender<Option<String>>>,
}

/// How often a process is tried to start that the kernel refuses for want of processes, and the time between: nobody
/// tells when a control group has room again.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(200);

/// Says that a stage could not start.
fn refuse(driver: &Driver, error: &StartError) {
    let cause = error.to_string();
    // There is room: nothing was sent before.
    let _ = driver.events.try_send(StageEvent::NotStarted { cause });
}

impl Stages {
    /// What runs stages in these surroundings.
    pub(crate) fn new(surroundings: Surroundings, reaper: Reaper) -> Self {
        Self {
            surroundings: Arc::new(surroundings),
            reaper,
            memory: MemorySampler::start(),
            active: Count::default(),
            abandoned: Count::default(),
            leaving: Arc::default(),
        }
    }

    /// Starts a stage. Must be called where the reaper runs.
    pub(crate) fn start(&self, order: &StageOrder) -> Stage {
        let (stage, driver) = Stage::new();
        let witness = Witness::new(self.memory.as_ref(), &self.surroundings);
        match Process::start(order, self) {
            Ok(process) => drop(tokio::spawn(process.run(driver, witness))),
            Err(error) if error.is_for_want_of_processes() => {
                let (stages, order) = (self.clone(), order.clone());
                let active = self.active.add();
                drop(tokio::spawn(async move {
                    let started = stages.start_later(&order, error).await;
                    drop(active);
                    match started {
                        Ok(process) => process.run(driver, witness).await,
                        Err(error) => refuse(&driver, &error),
                    }
                }));
            }
            Err(error) => refuse(&driver, &error),
        }
        stage
    }

    /// Starts a stage whose process the kernel has refused for want of processes: those of a job that was ended count until
    /// they are gone.
    async fn start_later(
        &self,
        order: &StageOrder,
        mut refused: StartError,
    ) -> Result<Process, StartError> {
        for _ in 0..TRIES {
            sleep(PAUSE).await;
            match Process::start(order, self) {
                Err(error) if error.is_for_want_of_processes() => refused = error,
                other => return other,
            }
        }
        Err(refused)
    }

    /// Waits until those have ended that nobody controls any more: what they held is free then.
    pub(crate) async fn abandoned_ended(&self) {
        // The kernel may not let one go: that must not hold others for ever.
        let _ = timeout(END, self.abandoned.none()).await;
    }

    /// Ends all stages for this cause, and waits until they have ended.
    pub(crate) async fn end_all(&self, cause: &str) {
        self.leaving.send_replace(Some(cause.to_owned()));
        let _ = timeout(END, self.active.none()).await;
    }
}
