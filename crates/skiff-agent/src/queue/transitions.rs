//! How each event changes the queue.

use skiff_proto::{JobId, JobRecord};

use super::{Demand, Departure, DockerGate, Effect, Event, Job, NodeEnd, Outcome, Queue, Stage};
use super::{Work, ending::KILLED};

impl Queue {
    pub(super) fn take(&mut self, now_ms: u64, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Submitted { record, work } => self.submitted(now_ms, *record, work, effects),
            Event::Ended { job, node, end } => self.ended(now_ms, job, node, end, effects),
            Event::Cancel { jobs } => {
                for job in jobs {
                    self.demand(now_ms, job, Demand::Cancel, effects);
                }
            }
            Event::NodeJoined { node, is_restarted } => self.members.joined(node, is_restarted),
            Event::NodeLost { node, cause } => self.members.lost(node, cause),
            Event::NodesLate(wait) => self.nodes_late(now_ms, wait, effects),
            Event::DockerReady => self.docker = DockerGate::Open,
            Event::DockerLost { cause } => {
                self.docker = DockerGate::Shut { awaited: false };
                for id in &self.active {
                    if let Some(job) = self.jobs.get_mut(id) {
                        job.docker_lost = Some(cause.clone());
                    }
                }
            }
            Event::DockerLate { cause } => self.docker_late(now_ms, &cause, effects),
            Event::Close => self.closed = true,
            Event::Leave(departure) => self.leave(now_ms, departure, effects),
        }
    }

    fn submitted(&mut self, now_ms: u64, record: JobRecord, work: Work, effects: &mut Vec<Effect>) {
        let id = record.id;
        self.last_id = self.last_id.max(id);
        self.jobs.insert(id, Job::new(record, work, Stage::Queued));
        self.queued.insert(id);
        if let Some(departure) = self.leaving {
            self.demand(now_ms, id, Demand::Leave(departure), effects);
        }
    }

    /// A stage's end on one node. The first failure ends the stage on all nodes; what comes after the last end follows
    /// from that.
    fn ended(
        &mut self,
        now_ms: u64,
        id: JobId,
        node: u32,
        end: NodeEnd,
        effects: &mut Vec<Effect>,
    ) {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.is_active()) else {
            return;
        };
        let is_told = job.failure.is_some();
        let code = match &end {
            NodeEnd::Exited { code, .. } if !is_told => *code,
            NodeEnd::Exited { code: 0, .. } => 0,
            _ => KILLED,
        };
        let slot = job
            .codes
            .iter_mut()
            .find(|(of, code)| *of == node && code.is_none());
        let Some((_, ended)) = slot else {
            return;
        };
        *ended = Some(code);
        let failed = !matches!(end, NodeEnd::Exited { code: 0, .. });
        let still_on = job.still_on();
        if failed && job.demand.is_none() && !is_told {
            job.failure = Some((node, end));
            if !still_on.is_empty() {
                effects.push(Effect::Terminate(id, still_on.clone()));
            }
        }
        if still_on.is_empty() {
            self.stage_over(now_ms, id, effects);
        }
    }

    /// All nodes have ended the stage.
    fn stage_over(&mut self, now_ms: u64, id: JobId, effects: &mut Vec<Effect>) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        job.record.exit_codes = job.codes.iter().filter_map(|(_, code)| *code).collect();
        if job.demand.is_some() {
            job.record.exit_code = job.record.exit_codes.first().copied();
            self.end_on_demand(now_ms, id, effects);
        } else if job.failure.is_some() {
            self.end_by_failure(now_ms, id, effects);
        } else if job.stage == Stage::Setup {
            let nodes: Vec<u32> = job.codes.iter().map(|(node, _)| *node).collect();
            let own = job.work.setup.then_some(id);
            self.members.set_up(own, &nodes);
            job.record.exit_codes.clear();
            self.enter_run(now_ms, id, effects);
        } else {
            self.end(now_ms, id, Outcome::succeeded(), effects);
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
                if job.failure.is_none() {
                    effects.push(Effect::Terminate(id, job.still_on()));
                }
            }
            Stage::Setup | Stage::Run | Stage::Over => {}
        }
    }

    fn nodes_late(&mut self, now_ms: u64, wait: u64, effects: &mut Vec<Effect>) {
        if !self.members.is_waiting(wait) {
            return;
        }
        self.members.end_wait();
        let cause = format!("nodes are missing: {}", self.members.absentees());
        let in_vain = self.queued.iter().filter(|id| !self.has_nodes(**id));
        for id in in_vain.copied().collect::<Vec<_>>() {
            self.end(now_ms, id, Outcome::failed(cause.clone()), effects);
        }
    }

    fn docker_late(&mut self, now_ms: u64, cause: &str, effects: &mut Vec<Effect>) {
        if self.docker == DockerGate::Open {
            return;
        }
        self.docker = DockerGate::Shut { awaited: false };
        for id in self.queued.iter().copied().collect::<Vec<_>>() {
            let cause = format!("Docker did not become ready: {cause}");
            self.end(now_ms, id, Outcome::failed(cause), effects);
        }
    }

    fn leave(&mut self, now_ms: u64, departure: Departure, effects: &mut Vec<Effect>) {
        if self.leaving.is_some() {
            return;
        }
        self.closed = true;
        self.leaving = Some(departure);
        for id in self.unfinished() {
            self.demand(now_ms, id, Demand::Leave(departure), effects);
        }
    }
}
