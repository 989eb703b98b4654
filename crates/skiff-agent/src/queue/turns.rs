//! Whose turn it is: jobs start strictly in the order of their submission, while there is room.

use skiff_proto::{JobId, JobStatus};

use super::nodes::Members;
use super::slots::Share;
use super::{DockerGate, Effect, Outcome, Queue, Stage};

const STARTED: &str =
    "Job started. Streaming logs... (Ctrl-C to exit log streaming; job will not be killed)";

impl Queue {
    /// Starts jobs in the order of their submission while there is room.
    pub(super) fn start_next(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        while !self.closed {
            let Some(id) = self.queued.first().copied() else {
                return;
            };
            if let DockerGate::Shut { awaited } = &mut self.docker {
                if !std::mem::replace(awaited, true) {
                    effects.push(Effect::Log(id, vec!["Waiting for Docker...".to_owned()]));
                    effects.push(Effect::AwaitDocker);
                }
                return;
            }
            if !self.has_nodes(id) {
                self.await_nodes(id, effects);
                return;
            }
            self.members.end_wait();
            let Some(shares) = self.room_for(id) else {
                return;
            };
            self.start(now_ms, id, &shares, effects);
        }
    }

    /// Whether the nodes that are there suffice for a job, were they free.
    pub(super) fn has_nodes(&self, id: JobId) -> bool {
        self.jobs.get(&id).is_some_and(|job| {
            let work = &job.work;
            self.members.suffice(work.need.nodes, work.setup)
        })
    }

    fn await_nodes(&mut self, id: JobId, effects: &mut Vec<Effect>) {
        if let Some(wait) = self.members.begin_wait() {
            let line = format!("Waiting for {}.", self.members.absentees());
            effects.push(Effect::Log(id, vec![line]));
            effects.push(Effect::AwaitNodes(wait));
        }
    }

    /// Takes what the first job needs; None where it has to wait for others to end.
    fn room_for(&mut self, id: JobId) -> Option<Vec<Share>> {
        let job = self.jobs.get(&id)?;
        let (need, own_setup) = (job.work.need, job.work.setup);
        let members = &self.members;
        let shares = self.slots.take(need, |node| members.is_present(node))?;
        let nodes = shares.iter().map(|share| share.node);
        if !own_setup && self.members.due_on(nodes).is_some() && self.sets_up() {
            // The setup that these nodes need may be the one that runs now.
            self.slots.give_back(&shares, need.milli_gpus);
            return None;
        }
        Some(shares)
    }

    fn sets_up(&self) -> bool {
        self.active
            .iter()
            .filter_map(|id| self.jobs.get(id))
            .any(|job| job.stage == Stage::Setup)
    }

    fn start(&mut self, now_ms: u64, id: JobId, shares: &[Share], effects: &mut Vec<Effect>) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        self.queued.remove(&id);
        self.active.insert(id);
        job.record.started_ms = Some(now_ms);
        job.shares = shares.to_vec();
        let own_setup = job.work.setup;
        effects.push(Effect::Log(id, vec![STARTED.to_owned()]));
        if own_setup {
            let all: Vec<u32> = self.members.all().collect();
            self.enter_setup(id, id, &all, effects);
            return;
        }
        match self.members.due_on(shares.iter().map(|share| share.node)) {
            Some((due, nodes)) => {
                effects.push(Effect::Log(id, self.setup_again_lines(due, id, &nodes)));
                self.enter_setup(id, due, &nodes, effects);
            }
            None => self.enter_run(now_ms, id, effects),
        }
    }

    /// What a job is told whose containers need another job's setup once more.
    fn setup_again_lines(&self, due: JobId, id: JobId, nodes: &[u32]) -> Vec<String> {
        let names: Vec<String> = nodes.iter().map(|node| Members::name(*node)).collect();
        let whose = if self.members.all().len() == 1 {
            String::new()
        } else {
            format!(" of {}", names.join(", "))
        };
        let mut lines = vec![format!(
            "The task container{whose} was restarted: its setup runs again first."
        )];
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

    fn enter_setup(&mut self, id: JobId, scripts: JobId, nodes: &[u32], effects: &mut Vec<Effect>) {
        let shares = nodes.iter().map(|node| Share {
            node: *node,
            gpus: Vec::new(),
        });
        let shares = shares.collect();
        self.enter(id, Stage::Setup, scripts, shares, effects);
    }

    /// Goes on to the job's run command, or to its end where it has none.
    pub(super) fn enter_run(&mut self, now_ms: u64, id: JobId, effects: &mut Vec<Effect>) {
        let Some(job) = self.jobs.get(&id) else {
            return;
        };
        if job.work.run {
            let shares = job.shares.clone();
            self.enter(id, Stage::Run, id, shares, effects);
        } else {
            self.end(now_ms, id, Outcome::succeeded(), effects);
        }
    }

    fn enter(
        &mut self,
        job: JobId,
        stage: Stage,
        scripts: JobId,
        shares: Vec<Share>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(entering) = self.jobs.get_mut(&job) else {
            return;
        };
        entering.stage = stage;
        entering.record.status = match stage {
            Stage::Setup => JobStatus::SettingUp,
            _ => JobStatus::Running,
        };
        entering.codes = shares.iter().map(|share| (share.node, None)).collect();
        effects.push(Effect::Start {
            job,
            stage,
            scripts,
            shares,
        });
        effects.push(Effect::Save(job));
    }
}
