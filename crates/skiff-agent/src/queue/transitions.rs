//! How each event changes the queue.

use skiff_proto::{JobId, JobRecord, JobStatus, STOPPED};

use super::{Demand, Departure, DockerGate, Effect, Event, Job, Outcome, Queue, Stage, Work};

impl Queue {
    pub(super) fn take(&mut self, now_ms: u64, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Submitted { record, work } => self.submitted(record, work, effects),
            Event::Exited { job, code, cause } => self.exited(now_ms, job, code, cause, effects),
            Event::NotStarted { job, cause } => {
                let outcome = Outcome {
                    status: JobStatus::FailedDriver,
                    code: None,
                    cause: Some(cause),
                };
                self.end(now_ms, job, outcome, effects);
            }
            Event::Cancel { jobs } => {
                for job in jobs {
                    self.demand(now_ms, job, Demand::Cancel, effects);
                }
            }
            Event::DockerReady => self.docker = DockerGate::Open,
            Event::DockerLost { cause } => {
                self.docker = DockerGate::Shut { awaited: false };
                for job in self.jobs.values_mut().filter(|job| job.is_active()) {
                    job.docker_lost = Some(cause.clone());
                }
            }
            Event::DockerLate { cause } => self.docker_late(now_ms, &cause, effects),
            Event::Close => self.closed = true,
            Event::Leave(departure) => self.leave(now_ms, departure, effects),
        }
    }

    fn submitted(&mut self, record: JobRecord, work: Work, effects: &mut Vec<Effect>) {
        let id = record.id;
        self.last_id = self.last_id.max(id);
        effects.push(Effect::Log(
            id,
            vec!["Waiting for task resources on 1 node.".to_owned()],
        ));
        let job = Job {
            record,
            work,
            stage: Stage::Queued,
            demand: None,
            docker_lost: None,
        };
        self.jobs.insert(id, job);
    }

    /// Starts jobs in the order of their submission while there is room.
    pub(super) fn start_next(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        while !self.closed && self.active() < self.capacity {
            let Some(id) = self.first_queued() else {
                return;
            };
            if let DockerGate::Shut { awaited } = &mut self.docker {
                if !std::mem::replace(awaited, true) {
                    effects.push(Effect::Log(id, vec!["Waiting for Docker...".to_owned()]));
                    effects.push(Effect::AwaitDocker);
                }
                return;
            }
            if self.setup_due.is_some() && self.jobs.values().any(|job| job.stage == Stage::Setup) {
                return;
            }
            self.start(now_ms, id, effects);
        }
    }

    fn start(&mut self, now_ms: u64, id: JobId, effects: &mut Vec<Effect>) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        job.record.started_ms = Some(now_ms);
        effects.push(Effect::Log(
            id,
            vec![
                "Job started. Streaming logs... (Ctrl-C to exit log streaming; job will not be killed)"
                    .to_owned(),
            ],
        ));
        let own_setup = job.work.setup;
        if let Some(due) = self.setup_due.filter(|_| !own_setup) {
            effects.push(Effect::Log(id, self.setup_again_lines(due, id)));
        }
        if own_setup || self.setup_due.is_some() {
            self.enter(id, Stage::Setup, JobStatus::SettingUp, effects);
        } else {
            self.enter_run(now_ms, id, effects);
        }
    }

    /// What a job is told whose container needs another job's setup once more.
    fn setup_again_lines(&self, due: JobId, id: JobId) -> Vec<String> {
        let mut lines =
            vec!["The task container was restarted: its setup runs again first.".to_owned()];
        let secrets_of = |id| self.record(id).map_or(&[][..], |record| &record.secrets);
        let had = secrets_of(due).iter();
        let missing: Vec<&str> = had
            .filter(|name| !secrets_of(id).contains(name))
            .map(String::as_str)
            .collect();
        if !missing.is_empty() {
            lines.push(format!(
                "The setup had secrets that were in the agent's memory alone: {}. If it needs them, launch again.",
                missing.join(", ")
            ));
        }
        lines
    }

    fn enter_run(&mut self, now_ms: u64, id: JobId, effects: &mut Vec<Effect>) {
        if self.jobs.get(&id).is_some_and(|job| job.work.run) {
            self.enter(id, Stage::Run, JobStatus::Running, effects);
        } else {
            let outcome = Outcome {
                status: JobStatus::Succeeded,
                code: Some(0),
                cause: None,
            };
            self.end(now_ms, id, outcome, effects);
        }
    }

    fn enter(&mut self, id: JobId, stage: Stage, status: JobStatus, effects: &mut Vec<Effect>) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        job.stage = stage;
        job.record.status = status;
        let is_anothers = stage == Stage::Setup && !job.work.setup;
        let scripts = self.setup_due.filter(|_| is_anothers).unwrap_or(id);
        effects.push(Effect::Start {
            job: id,
            stage,
            scripts,
        });
        effects.push(Effect::Save(id));
    }

    fn exited(
        &mut self,
        now_ms: u64,
        id: JobId,
        code: i32,
        cause: Option<String>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.is_active()) else {
            return;
        };
        job.record.exit_code = Some(code);
        if job.demand.is_some() {
            return self.end_on_demand(now_ms, id, effects);
        }
        let lost = job.docker_lost.take();
        let failed = if job.stage == Stage::Setup {
            JobStatus::FailedSetup
        } else {
            JobStatus::Failed
        };
        match (code, job.stage) {
            (0, Stage::Setup) => {
                self.setup_due = None;
                self.enter_run(now_ms, id, effects);
            }
            (0, _) => {
                let outcome = Outcome {
                    status: JobStatus::Succeeded,
                    code: Some(0),
                    cause,
                };
                self.end(now_ms, id, outcome, effects);
            }
            _ => {
                let cause = cause.or_else(|| {
                    lost.map(|why| format!("the Docker daemon died while the job ran: {why}"))
                });
                self.end(
                    now_ms,
                    id,
                    Outcome {
                        status: failed,
                        code: Some(code),
                        cause,
                    },
                    effects,
                );
            }
        }
    }

    fn demand(&mut self, now_ms: u64, id: JobId, demand: Demand, effects: &mut Vec<Effect>) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        match job.stage {
            Stage::Queued => {
                job.demand = Some(demand);
                self.end_on_demand(now_ms, id, effects);
            }
            Stage::Setup | Stage::Run if job.demand.is_none() => {
                job.demand = Some(demand);
                effects.push(Effect::Terminate(id));
            }
            Stage::Setup | Stage::Run | Stage::Over => {}
        }
    }

    fn end_on_demand(&mut self, now_ms: u64, id: JobId, effects: &mut Vec<Effect>) {
        let Some(job) = self.jobs.get(&id) else {
            return;
        };
        let (status, cause) = match job.demand {
            Some(Demand::Leave(Departure::Stopped)) => {
                (JobStatus::Failed, Some(STOPPED.to_owned()))
            }
            Some(Demand::Leave(Departure::Down)) => (
                JobStatus::Cancelled,
                Some("the cluster was taken down".to_owned()),
            ),
            Some(Demand::Leave(Departure::Stop)) => (
                JobStatus::Cancelled,
                Some("the cluster was stopped".to_owned()),
            ),
            Some(Demand::Leave(Departure::Idle)) => (
                JobStatus::Cancelled,
                Some("autostop ended the cluster, whose jobs it does not wait for".to_owned()),
            ),
            Some(Demand::Cancel) | None => (JobStatus::Cancelled, None),
        };
        let outcome = Outcome {
            status,
            code: job.record.exit_code,
            cause,
        };
        self.end(now_ms, id, outcome, effects);
    }

    fn docker_late(&mut self, now_ms: u64, cause: &str, effects: &mut Vec<Effect>) {
        if self.docker == DockerGate::Open {
            return;
        }
        self.docker = DockerGate::Shut { awaited: false };
        for id in self.queued() {
            let cause = Some(format!("Docker did not become ready: {cause}"));
            let outcome = Outcome {
                status: JobStatus::Failed,
                code: None,
                cause,
            };
            self.end(now_ms, id, outcome, effects);
        }
    }

    fn leave(&mut self, now_ms: u64, departure: Departure, effects: &mut Vec<Effect>) {
        if self.leaving.is_some() {
            return;
        }
        self.closed = true;
        self.leaving = Some(departure);
        let unfinished: Vec<JobId> = self.jobs.keys().copied().collect();
        for id in unfinished {
            self.demand(now_ms, id, Demand::Leave(departure), effects);
        }
    }

    fn end(&mut self, now_ms: u64, id: JobId, outcome: Outcome, effects: &mut Vec<Effect>) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let Outcome {
            status,
            code,
            cause,
        } = outcome;
        job.stage = Stage::Over;
        job.record.status = status;
        job.record.ended_ms = Some(now_ms);
        job.record.exit_code = code;
        job.record.cause.clone_from(&cause);
        effects.push(Effect::Log(id, closing_lines(&job.record)));
        effects.push(Effect::Save(id));
    }

    pub(super) fn active(&self) -> usize {
        self.jobs.values().filter(|job| job.is_active()).count()
    }

    fn first_queued(&self) -> Option<JobId> {
        self.jobs
            .iter()
            .find(|(_, job)| job.stage == Stage::Queued)
            .map(|(id, _)| *id)
    }

    fn queued(&self) -> Vec<JobId> {
        let queued = self
            .jobs
            .iter()
            .filter(|(_, job)| job.stage == Stage::Queued);
        queued.map(|(id, _)| *id).collect()
    }
}

/// The last lines of an ended job's log.
pub(crate) fn closing_lines(record: &JobRecord) -> Vec<String> {
    let mut lines = Vec::new();
    let id = record.id;
    match (record.status, record.exit_code) {
        (JobStatus::FailedSetup, Some(code)) => {
            lines.push(format!(
                "ERROR: Job {id}'s setup failed with return code list: [{code}]"
            ));
        }
        (JobStatus::Failed, Some(code)) => {
            lines.push(format!(
                "ERROR: Job {id} failed with return code list: [{code}]"
            ));
        }
        (JobStatus::Failed | JobStatus::FailedSetup | JobStatus::FailedDriver, None) => {
            lines.push(format!("ERROR: Job {id} failed."));
        }
        _ => {}
    }
    if let Some(cause) = &record.cause {
        lines.push(format!("Cause: {cause}."));
    }
    lines.push(format!("Job finished (status: {}).", record.status));
    lines
}
