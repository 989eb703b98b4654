//! The owner of all jobs: takes commands and events one after the other, asks the queue what follows,
//! and does it. Must not decide anything about jobs itself.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;

use skiff_proto::{Fault, FaultKind, JobId, JobRecord, JobSpec, LogSource, StageKind, StageOrder};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::clock::now_ms;
use crate::environment::{Place, Surroundings};
use crate::fault;
use crate::idle::Activity;
use crate::nodes::Nodes;
use crate::queue::{Departure, Effect, Event, Queue, Stage, Work, step};
use crate::record::{self, Past};
use crate::report;

mod cause;
mod kept;
mod output;

pub(crate) use kept::JobHandle;
use kept::Kept;
use output::Output;

/// What others ask of the keeper.
#[derive(Debug)]
pub(crate) enum Command {
    /// Queue a job.
    Submit(JobSpec, oneshot::Sender<Result<JobRecord, Fault>>),
    /// All records.
    Queue(oneshot::Sender<Vec<JobRecord>>),
    /// End these jobs; answered when they have ended.
    Cancel(Vec<JobId>, oneshot::Sender<Result<Vec<JobHandle>, Fault>>),
    /// One job, to follow it.
    Find(LogSource, oneshot::Sender<Option<JobHandle>>),
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
    submissions: HashMap<String, JobId>,
    surroundings: Surroundings,
    nodes: Nodes,
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
        let mut keeper = Self {
            jobs: BTreeMap::new(),
            submissions: HashMap::new(),
            departed: false,
            queue,
            surroundings,
            nodes,
            commands,
            docker_awaited,
            activity,
        };
        let ended: Vec<JobRecord> = keeper.queue.records().cloned().collect();
        for record in ended {
            keeper.keep(&record, None);
        }
        keeper
    }

    /// Runs until everything has ended and the agent may go.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while !self.departed {
            match commands.recv().await {
                Some(command) => self.handle(command).await,
                None => return,
            }
        }
    }

    async fn handle(&mut self, command: Command) {
        // An answer that nobody waits for any more is no loss.
        match command {
            Command::Submit(spec, answer) => drop(answer.send(self.submit(spec).await)),
            Command::Queue(answer) => drop(answer.send(self.queue.records().cloned().collect())),
            Command::Cancel(jobs, answer) => drop(answer.send(self.cancel(jobs).await)),
            Command::Find(source, answer) => drop(answer.send(self.find(&source))),
            Command::Close => self.happen(Event::Close).await,
            Command::Leave(departure) => self.happen(Event::Leave(departure)).await,
            Command::Event(event) => self.happen(event).await,
        }
    }

    async fn submit(&mut self, spec: JobSpec) -> Result<JobRecord, Fault> {
        if let Some(record) = self
            .submissions
            .get(&spec.submission)
            .and_then(|id| self.queue.record(*id))
        {
            return Ok(record.clone());
        }
        if self.queue.is_leaving() {
            let message = "the cluster is going down".to_owned();
            return Err(Fault {
                kind: FaultKind::ShuttingDown,
                message,
            });
        }
        let id = self.queue.next_id().max(spec.after.saturating_add(1));
        let name = record::log_name(id, spec.name.as_deref());
        let record = JobRecord::new(id, &spec, now_ms(), format!("~/sky_logs/{name}"));
        let layout = self.surroundings.layout.clone();
        let (new, new_spec) = (record.clone(), spec.clone());
        on_disk(move || record::create(&layout, &new, &new_spec))
            .await
            .map_err(|error| {
                fault::of(
                    &error,
                    "write the job",
                    &self.surroundings.layout.job_dir(id),
                )
            })?;
        let work = Work {
            setup: spec.setup.is_some(),
            run: spec.run.is_some(),
        };
        self.keep(&record, Some(spec));
        self.happen(Event::Submitted {
            record: record.clone(),
            work,
        })
        .await;
        Ok(self.queue.record(id).cloned().unwrap_or(record))
    }

    /// Takes a job in; one with a specification is to run.
    fn keep(&mut self, record: &JobRecord, spec: Option<JobSpec>) {
        let kept = Kept::new(&self.surroundings.layout, record, spec);
        self.submissions
            .insert(record.submission.clone(), record.id);
        self.jobs.insert(record.id, kept);
    }

    async fn cancel(&mut self, mut jobs: Vec<JobId>) -> Result<Vec<JobHandle>, Fault> {
        if let Some(unknown) = jobs.iter().find(|id| !self.jobs.contains_key(id)) {
            let message = format!("there is no job {unknown}");
            return Err(Fault {
                kind: FaultKind::NotFound,
                message,
            });
        }
        if jobs.is_empty() {
            let unfinished = self
                .queue
                .records()
                .filter(|record| !record.status.is_final());
            jobs = unfinished.map(|record| record.id).collect();
        }
        self.happen(Event::Cancel { jobs: jobs.clone() }).await;
        Ok(jobs.iter().filter_map(|id| self.handle_of(*id)).collect())
    }

    fn find(&self, source: &LogSource) -> Option<JobHandle> {
        let id = match source {
            LogSource::Latest => *self.jobs.last_key_value()?.0,
            LogSource::Id(id) => *id,
            LogSource::Submission(submission) => *self.submissions.get(submission)?,
        };
        self.handle_of(id)
    }

    fn handle_of(&self, id: JobId) -> Option<JobHandle> {
        self.jobs.get(&id).map(Kept::handle)
    }

    /// Carries out everything that follows from an event.
    async fn happen(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let now = now_ms();
            let queue = std::mem::replace(&mut self.queue, Queue::new(1, false, Past::default()));
            let (queue, effects) = step(queue, now, event);
            self.queue = queue;
            self.activity.jobs(self.queue.unfinished());
            for effect in effects {
                events.extend(self.carry_out(effect).await);
            }
        }
    }

    /// Does one thing; returns the event that comes of it at once.
    async fn carry_out(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Log(job, lines) => self.log_lines(job, &lines),
            Effect::Save(job) => self.save(job).await,
            Effect::Start {
                job,
                stage,
                scripts,
            } => return self.start(job, stage, scripts),
            Effect::Terminate(job) => self.terminate(job),
            Effect::AwaitDocker => self.docker_awaited.notify_one(),
            Effect::Depart => self.departed = true,
        }
        None
    }

    fn log_lines(&self, job: JobId, lines: &[String]) {
        if let Some(live) = self.jobs.get(&job).and_then(|kept| kept.live.as_ref()) {
            live.say(lines);
        }
    }

    async fn save(&mut self, job: JobId) {
        let (Some(record), Some(kept)) = (self.queue.record(job), self.jobs.get_mut(&job)) else {
            return;
        };
        kept.publish(record);
        let (layout, record) = (self.surroundings.layout.clone(), record.clone());
        if let Err(error) = on_disk(move || record::save(&layout, &record)).await {
            report(&format!("cannot write the record of job {job}: {error}"));
        }
    }

    fn start(&mut self, job: JobId, stage: Stage, scripts: JobId) -> Option<Event> {
        let not_started = |cause: String| Some(Event::NotStarted { job, cause });
        let record = self.queue.record(job)?;
        let kept = self.jobs.get_mut(&job)?;
        let Some(live) = kept.live.as_mut() else {
            return not_started("its log cannot be written".to_owned());
        };
        if let Some(note) = &self.surroundings.home.note {
            live.say(std::slice::from_ref(note));
        }
        let kind = match stage {
            Stage::Setup => StageKind::Setup,
            _ => StageKind::Run,
        };
        let order = order(&self.surroundings, &live.spec, record, kind, scripts);
        let order = match order {
            Ok(order) => order,
            Err(error) => return not_started(format!("cannot read its script: {error}")),
        };
        let name = record.name.as_deref().unwrap_or("task");
        let output = match Output::new(&kept.logs, kind, name, Arc::clone(&live.log)) {
            Ok(output) => output,
            Err(error) => {
                return not_started(format!("cannot open {}: {error}", kept.logs.display()));
            }
        };
        let stage = self.nodes.start(0, &order);
        live.running = Some(stage.control());
        tokio::spawn(output.follow(job, stage, self.commands.clone()));
        None
    }

    fn terminate(&self, job: JobId) {
        let live = self.jobs.get(&job).and_then(|kept| kept.live.as_ref());
        if let Some(running) = live.and_then(|live| live.running.as_ref()) {
            running.terminate();
        }
    }
}

fn order(
    surroundings: &Surroundings,
    spec: &JobSpec,
    record: &JobRecord,
    kind: StageKind,
    scripts: JobId,
) -> io::Result<StageOrder> {
    let script = match kind {
        StageKind::Setup => record::SETUP,
        StageKind::Run => record::RUN,
    };
    let address = surroundings.own_or("SKIFF_POD_IP", "127.0.0.1");
    let place = Place {
        kind,
        addresses: &[address.to_string_lossy().into_owned()],
        rank: 0,
        gpus: None,
    };
    Ok(StageOrder {
        job: record.id,
        kind,
        mark: surroundings.mark(record),
        script: std::fs::read_to_string(surroundings.layout.job_dir(scripts).join(script))?,
        env: surroundings.ordered(spec, record, place),
        secrets: spec.secrets.clone(),
    })
}

/// Does what waits for the disk on a thread of its own, so that logs and answers go on meanwhile.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("the work does not panic and is never aborted")
}
