//! The owner of all jobs: takes commands and events one after the other, asks the queue what follows,
//! and does it. Must not decide anything about jobs itself, nor wait for a disk or another node.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use skiff_proto::{Fault, FaultKind, JobId, JobRecord, JobSpec, LogSource};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::clock::now_ms;
use crate::environment::Surroundings;
use crate::idle::Activity;
use crate::nodes::{Nodes, Presence};
use crate::queue::{Capacity, Departure, Effect, Event, NodeEnd, Queue, step};
use crate::record::Past;

mod cause;
mod kept;
mod output;
mod recorder;
mod staging;
mod submissions;

pub(crate) use kept::JobHandle;
use kept::Kept;
use recorder::Recorder;
use submissions::Submissions;

/// How long a job waits for nodes that are not there.
const NODES_LIMIT: Duration = Duration::from_mins(2);

/// What others ask of the keeper.
#[derive(Debug)]
pub(crate) enum Command {
    /// Queue a job.
    Submit(Box<JobSpec>, oneshot::Sender<Result<JobRecord, Fault>>),
    /// All records.
    Queue(oneshot::Sender<Vec<JobRecord>>),
    /// End these jobs; answered when they have been told to.
    Cancel(Vec<JobId>, oneshot::Sender<Result<Vec<JobHandle>, Fault>>),
    /// One job, to follow it.
    Find(LogSource, oneshot::Sender<Option<JobHandle>>),
    /// A job that was submitted is on the disk, or cannot be.
    Created(JobId, io::Result<()>),
    /// Take no job any more, and start none.
    Close,
    /// Go.
    Leave(Departure),
    /// Something happened.
    Event(Event),
}

/// The keeper. See the module.
pub(crate) struct Keeper {
    queue: Queue,
    jobs: BTreeMap<JobId, Kept>,
    submissions: Submissions,
    recorder: Recorder,
    surroundings: Surroundings,
    nodes: Nodes,
    /// The identities of the nodes' agents when they were last there.
    boots: HashMap<u32, String>,
    commands: mpsc::Sender<Command>,
    docker_awaited: Arc<Notify>,
    activity: Activity,
    departed: bool,
}

impl Keeper {
    /// A keeper of a queue and of the jobs in it, all of them ended.
    pub(crate) fn new(
        queue: Queue,
        surroundings: Surroundings,
        nodes: Nodes,
        commands: mpsc::Sender<Command>,
        docker_awaited: Arc<Notify>,
        activity: Activity,
    ) -> Self {
        let ended = queue.records().map(|record| {
            let kept = Kept::new(&surroundings.layout, record, None);
            (record.id, kept)
        });
        Self {
            jobs: ended.collect(),
            submissions: Submissions::new(&queue),
            recorder: Recorder::start(surroundings.layout.clone(), commands.clone()),
            departed: false,
            queue,
            surroundings,
            nodes,
            boots: HashMap::new(),
            commands,
            docker_awaited,
            activity,
        }
    }

    /// Runs until everything has ended and is on the disk, and the agent may go.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut presence = self.nodes.watch();
        presence.mark_changed();
        while !self.departed {
            tokio::select! {
                Ok(()) = presence.changed() => self.look_at_nodes(&mut presence),
                command = commands.recv() => match command {
                    Some(command) => self.handle(command, &mut presence),
                    None => break,
                },
            }
        }
        self.recorder.finish().await;
    }

    fn handle(&mut self, command: Command, presence: &mut watch::Receiver<Vec<Presence>>) {
        // An answer that nobody waits for any more is no loss.
        match command {
            Command::Submit(spec, answer) => self.submit(*spec, answer),
            Command::Queue(answer) => drop(answer.send(self.queue.records().cloned().collect())),
            Command::Cancel(jobs, answer) => drop(answer.send(self.cancel(jobs))),
            Command::Find(source, answer) => self.find(&source, answer),
            Command::Created(job, result) => self.created(job, result),
            Command::Close => self.happen(Event::Close),
            Command::Leave(departure) => self.happen(Event::Leave(departure)),
            Command::Event(event) => {
                if let Event::Ended {
                    end: NodeEnd::Lost { .. },
                    ..
                } = event
                {
                    // The next job must not be given to the node that has just been lost.
                    self.look_at_nodes(presence);
                }
                self.happen(event);
            }
        }
    }

    /// Tells the queue which nodes are there.
    fn look_at_nodes(&mut self, presence: &mut watch::Receiver<Vec<Presence>>) {
        let all = presence.borrow_and_update().clone();
        for (node, presence) in (0..).zip(all) {
            let event = match presence {
                Presence::Here { boot } => {
                    let before = self.boots.insert(node, boot.clone());
                    let is_restarted = before.is_some_and(|before| before != boot);
                    Event::NodeJoined { node, is_restarted }
                }
                Presence::Away { why } => Event::NodeLost { node, cause: why },
            };
            self.happen(event);
        }
    }

    fn cancel(&mut self, mut jobs: Vec<JobId>) -> Result<Vec<JobHandle>, Fault> {
        if let Some(unknown) = jobs.iter().find(|id| !self.jobs.contains_key(id)) {
            let message = format!("there is no job {unknown}");
            return Err(Fault {
                kind: FaultKind::NotFound,
                message,
            });
        }
        if jobs.is_empty() {
            jobs = self.queue.unfinished();
        }
        self.happen(Event::Cancel { jobs: jobs.clone() });
        Ok(jobs.iter().filter_map(|id| self.handle_of(*id)).collect())
    }

    fn handle_of(&self, id: JobId) -> Option<JobHandle> {
        self.jobs.get(&id).map(Kept::handle)
    }

    /// Carries out everything that follows from an event.
    fn happen(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let none = Queue::new(Capacity::new(1, 0.0, 0), false, Past::default());
            let queue = std::mem::replace(&mut self.queue, none);
            let (queue, effects) = step(queue, now_ms(), event);
            self.queue = queue;
            self.activity.jobs(self.queue.unfinished_count());
            for effect in effects {
                self.carry_out(effect, &mut events);
            }
        }
    }

    /// Does one thing; what comes of it at once is added to the events.
    fn carry_out(&mut self, effect: Effect, events: &mut VecDeque<Event>) {
        match effect {
            Effect::Log(job, lines) => {
                if let Some(kept) = self.jobs.get_mut(&job) {
                    kept.say(&lines);
                }
            }
            Effect::Save(job) => self.save(job),
            Effect::Start {
                job,
                stage,
                scripts,
                shares,
            } => {
                if let Err(cause) = self.start(job, stage, scripts, &shares) {
                    events.extend(shares.iter().map(|share| Event::Ended {
                        job,
                        node: share.node,
                        end: NodeEnd::NotStarted {
                            cause: cause.clone(),
                        },
                    }));
                }
            }
            Effect::Terminate(job, nodes) => {
                if let Some(kept) = self.jobs.get(&job) {
                    kept.terminate(&nodes);
                }
            }
            Effect::AwaitDocker => self.docker_awaited.notify_one(),
            Effect::AwaitNodes(wait) => {
                let commands = self.commands.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(NODES_LIMIT).await;
                    let late = Command::Event(Event::NodesLate(wait));
                    // The keeper is gone only when the agent is.
                    let _ = commands.send(late).await;
                });
            }
            Effect::Depart => self.departed = true,
        }
    }

    fn save(&mut self, job: JobId) {
        let (Some(record), Some(kept)) = (self.queue.record(job), self.jobs.get_mut(&job)) else {
            return;
        };
        kept.publish(record);
        self.recorder.save(record.clone());
    }
}
