//! The jobs that a cluster's owner Secret knows of, for the day on which the head pod and its job table are gone.
//!
//! One key a job, so that two commands at the same time do not undo each other's. The agent's own table is what counts as
//! long as it is there; must not be asked for anything that it can answer.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use skiff_kube::{ApiError, Cluster};
use skiff_proto::{JobId, JobRecord, JobStatus};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// What keys of jobs begin with.
const KEY: &str = "job.";
/// Jobs that are remembered: with half a kilobyte each, far below what a Secret may hold.
const REMEMBERED: u64 = 200;
/// How long a command waits for its jobs to be remembered.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause before a change that met many others is tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// Begins to remember a job that has just been submitted.
pub(crate) fn remember(cluster: &Cluster, owner: &str, job: &JobRecord) -> JoinHandle<()> {
    let (cluster, owner, jobs) = (cluster.clone(), owner.to_owned(), vec![job.clone()]);
    // A job that is not remembered runs all the same.
    tokio::spawn(async move { drop(put(&cluster, &owner, &jobs).await) })
}

/// Writes what is known of some jobs now.
pub(crate) async fn put(
    cluster: &Cluster,
    owner: &str,
    jobs: &[JobRecord],
) -> Result<(), ApiError> {
    let mut texts = serde_json::Map::new();
    let mut dropped = serde_json::Map::new();
    for job in jobs {
        let text = serde_json::to_string(job).expect("a record is plain data");
        texts.insert(key(job.id), text.into());
        if let Some(old) = job.id.checked_sub(REMEMBERED) {
            dropped.insert(key(old), serde_json::Value::Null);
        }
    }
    let patch = serde_json::json!({ "stringData": texts, "data": dropped });
    let trying = async {
        loop {
            match cluster.patch::<Secret>(owner, &patch).await {
                Err(error) if error.is_conflict() => sleep(PAUSE).await,
                // Taken down meanwhile: nobody will ask.
                Err(error) if error.is_not_found() => return Ok(()),
                result => return result.map(drop),
            }
        }
    };
    timeout(PATIENCE, trying).await.unwrap_or(Ok(()))
}

/// The jobs that an owner Secret knows of, oldest first. What cannot be read was written by another version.
pub(crate) fn remembered(owner: &Secret) -> Vec<JobRecord> {
    let jobs: BTreeMap<JobId, JobRecord> = owner
        .data
        .iter()
        .flatten()
        .filter(|(key, _)| key.starts_with(KEY))
        .filter_map(|(_, value)| serde_json::from_slice(&value.0).ok())
        .map(|job: JobRecord| (job.id, job))
        .collect();
    jobs.into_values().collect()
}

/// The agent's jobs together with those that went with an earlier head pod, oldest first; and of the agent's those that
/// have ended without the Secret knowing it.
pub(crate) fn merge(
    remembered: Vec<JobRecord>,
    agents: Vec<JobRecord>,
) -> (Vec<JobRecord>, Vec<JobRecord>) {
    let mut all: BTreeMap<JobId, JobRecord> = BTreeMap::new();
    let mut news = Vec::new();
    for job in remembered {
        let now = agents.iter().find(|agents| agents.id == job.id);
        match now {
            Some(now) if now.status.is_final() && !job.status.is_final() => news.push(now.clone()),
            Some(_) => {}
            None => drop(all.insert(job.id, lost(job, "its pod was replaced"))),
        }
    }
    all.extend(agents.into_iter().map(|job| (job.id, job)));
    (all.into_values().collect(), news)
}

/// A job whose head pod is gone. One that was seen to end stays as it was.
pub(crate) fn lost(mut job: JobRecord, why: &str) -> JobRecord {
    if !job.status.is_final() {
        job.status = JobStatus::Failed;
        job.cause = Some(format!(
            "{why}, and the job went with it, unless it had ended unseen; launch it again"
        ));
    }
    job
}

fn key(job: JobId) -> String {
    format!("{KEY}{job}")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    fn job(id: JobId, status: JobStatus) -> JobRecord {
        JobRecord {
            id,
            submission: id.to_string(),
            name: None,
            user: "ann".into(),
            resources: String::new(),
            status,
            submitted_ms: 1,
            started_ms: None,
            ended_ms: None,
            exit_code: None,
            num_nodes: 1,
            exit_codes: Vec::new(),
            cause: None,
            log_dir: String::new(),
            secrets: Vec::new(),
        }
    }

    #[test]
    fn a_job_of_an_earlier_pod_has_failed_unless_its_end_was_seen() {
        let remembered = vec![
            job(1, JobStatus::Succeeded),
            job(2, JobStatus::Running),
            job(3, JobStatus::Running),
        ];
        let (all, news) = merge(remembered, vec![job(3, JobStatus::Succeeded)]);
        let statuses: Vec<JobStatus> = all.iter().map(|job| job.status).collect();
        assert_eq!(
            statuses,
            [
                JobStatus::Succeeded,
                JobStatus::Failed,
                JobStatus::Succeeded
            ]
        );
        assert!(
            all[1]
                .cause
                .as_ref()
                .is_some_and(|cause| cause.contains("replaced"))
        );
        assert_eq!(news, [job(3, JobStatus::Succeeded)]);
    }

    #[test]
    fn jobs_are_read_in_the_order_of_their_numbers_and_strangers_passed_over() {
        let bytes = |job: &JobRecord| ByteString(serde_json::to_vec(job).expect("plain data"));
        let data = BTreeMap::from([
            (key(10), bytes(&job(10, JobStatus::Pending))),
            (key(9), bytes(&job(9, JobStatus::Pending))),
            (key(8), ByteString(b"{".to_vec())),
            ("record.json".to_owned(), ByteString(b"{}".to_vec())),
        ]);
        let owner = Secret {
            data: Some(data),
            ..Secret::default()
        };
        let ids: Vec<JobId> = remembered(&owner).iter().map(|job| job.id).collect();
        assert_eq!(ids, [9, 10]);
    }
}
