//! How jobs end: with which state, code and cause, and what their logs say of it.

use skiff_proto::{JobId, JobRecord, JobStatus, STOPPED};

use super::nodes::Members;
use super::{Demand, Departure, Effect, NodeEnd, Outcome, Queue, Stage};

/// The code of a node whose processes were ended because another node's had failed.
pub(super) const KILLED: i32 = 137;

impl Queue {
    /// Ends a job as its first failing node wants it, when all nodes have ended.
    pub(super) fn end_by_failure(&mut self, now_ms: u64, id: JobId, effects: &mut Vec<Effect>) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let Some((node, end)) = job.failure.take() else {
            return;
        };
        let failed = match job.stage {
            Stage::Setup => JobStatus::FailedSetup,
            _ => JobStatus::Failed,
        };
        let docker = job
            .docker_lost
            .take()
            .map(|why| format!("the Docker daemon died while the job ran: {why}"));
        let prefix = self.members.prefix(node);
        let outcome = match end {
            NodeEnd::Exited { code, cause } => Outcome {
                status: failed,
                code: Some(code),
                cause: cause.map(|cause| format!("{prefix}{cause}")).or(docker),
            },
            NodeEnd::NotStarted { cause } => {
                job.record.exit_codes.clear();
                Outcome {
                    status: JobStatus::FailedDriver,
                    code: None,
                    cause: Some(format!("{prefix}{cause}")),
                }
            }
            NodeEnd::Lost { cause } => {
                Outcome::failed(format!("{} was lost: {cause}", Members::name(node)))
            }
        };
        self.end(now_ms, id, outcome, effects);
    }

    /// Ends a job that was told to end, when its processes have.
    pub(super) fn end_on_demand(&mut self, now_ms: u64, id: JobId, effects: &mut Vec<Effect>) {
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

    /// Ends a job and frees what it had.
    pub(super) fn end(
        &mut self,
        now_ms: u64,
        id: JobId,
        outcome: Outcome,
        effects: &mut Vec<Effect>,
    ) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let shares = std::mem::take(&mut job.shares);
        self.slots.give_back(&shares, job.work.need.milli_gpus);
        self.queued.remove(&id);
        self.active.remove(&id);
        let Outcome {
            status,
            code,
            cause,
        } = outcome;
        job.stage = Stage::Over;
        job.codes.clear();
        job.record.status = status;
        job.record.ended_ms = Some(now_ms);
        job.record.exit_code = code;
        job.record.cause = cause;
        effects.push(Effect::Log(id, closing_lines(&job.record)));
        effects.push(Effect::Save(id));
    }
}

/// The last lines of an ended job's log.
pub(crate) fn closing_lines(record: &JobRecord) -> Vec<String> {
    let mut lines = Vec::new();
    let id = record.id;
    let has_failed = matches!(
        record.status,
        JobStatus::Failed | JobStatus::FailedSetup | JobStatus::FailedDriver
    );
    let whose = match record.status {
        JobStatus::FailedSetup => "'s setup",
        _ => "",
    };
    match (has_failed, record.exit_codes.as_slice()) {
        (true, []) => lines.push(format!("ERROR: Job {id} failed.")),
        (true, codes) => lines.push(format!(
            "ERROR: Job {id}{whose} failed with return code list: {codes:?}"
        )),
        (false, _) => {}
    }
    if let Some(cause) = &record.cause {
        lines.push(format!("Cause: {cause}."));
    }
    lines.push(format!("Job finished (status: {}).", record.status));
    lines
}
