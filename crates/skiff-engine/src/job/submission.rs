//! A job on its way to the queue, with its files before it.

use std::collections::BTreeMap;

use skiff_kube::Cluster;
use skiff_proto::{JobId, JobRecord, JobSpec, Request, Response};
use skiff_schema::ResolvedTask;
use skiff_wire::SessionError;

use super::JobError;
use crate::connect::Connection;
use crate::follow::Retries;
use crate::sync::{Sources, SyncError, Syncing};
use crate::{Event, Reporter, User};

/// A job on its way: the same one however often it is sent.
pub(crate) struct Submission(JobSpec);

impl Submission {
    /// Makes a job of a task; `setup` is what of its setup is to run.
    pub(crate) fn new(
        cluster: &Cluster,
        name: &str,
        user: &User,
        task: &ResolvedTask,
        setup: Option<String>,
    ) -> Self {
        let info = serde_json::json!({
            "cluster_name": name, "cloud": "Kubernetes", "region": cluster.context, "zone": null,
        });
        let mut env: BTreeMap<String, String> = task
            .envs
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        env.insert("SKYPILOT_CLUSTER_INFO".to_owned(), info.to_string());
        env.insert("SKYPILOT_USER".to_owned(), user.name.clone());
        Self(JobSpec {
            submission: uuid::Uuid::new_v4().to_string(),
            name: task.name.clone(),
            user: user.name.clone(),
            setup,
            run: task.run.clone(),
            env,
            secrets: task
                .secrets
                .reveal()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            resources: task.resources_text(task.first()),
            num_nodes: task.num_nodes,
            after: 0,
            // More than the number holds is more than any node has: the agent says so.
            milli_gpus: task
                .first()
                .accelerators
                .as_ref()
                .map_or(0, |accelerators| {
                    u32::try_from(accelerators.milli_count).unwrap_or(u32::MAX)
                }),
        })
    }

    /// The same, with further variables, which those of the task win over.
    #[must_use]
    pub(crate) fn with(mut self, variables: Vec<(String, String)>) -> Self {
        for (name, value) in variables {
            self.0.env.entry(name).or_insert(value);
        }
        self
    }

    /// The same, with a number behind this one.
    #[must_use]
    pub(crate) fn after(mut self, last: JobId) -> Self {
        self.0.after = last;
        self
    }
}

/// A job in the queue, and the connection over which it got there.
pub(crate) struct Submitted {
    pub(crate) job: JobRecord,
    pub(crate) connection: Connection,
}

/// Syncs files and submits the job, over as many connections as it takes.
pub(crate) async fn submit(
    mut retries: Retries<'_>,
    sources: Sources,
    submission: Option<Submission>,
    reporter: &dyn Reporter,
) -> Result<Option<Submitted>, JobError> {
    let mut syncing = Syncing::new(sources);
    let mut least = None;
    loop {
        match try_submit(&retries, syncing.as_mut(), submission.as_ref(), reporter).await {
            Ok(job) => return Ok(job),
            Err(JobError::Agent(error) | JobError::Sync(SyncError::Agent(error)))
                if error.is_transient() =>
            {
                let lacking = syncing.as_ref().and_then(Syncing::lacking);
                // Each connection that brought something counts as the first one.
                if lacking.is_some_and(|lacking| least.is_none_or(|least| lacking < least)) {
                    least = lacking;
                    retries.connected(reporter);
                    retries.start_over();
                }
                retries.pause(error, reporter).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn try_submit(
    retries: &Retries<'_>,
    syncing: Option<&mut Syncing>,
    submission: Option<&Submission>,
    reporter: &dyn Reporter,
) -> Result<Option<Submitted>, JobError> {
    let connection = match syncing {
        Some(syncing) => {
            // The files are read while the stream is opened.
            let opening = async { Ok(retries.open().await?) };
            let (connection, ()) = tokio::try_join!(opening, syncing.read(reporter))?;
            syncing.run(&connection, reporter).await?;
            connection
        }
        None if submission.is_none() => return Ok(None),
        None => retries.open().await?,
    };
    let Some(Submission(job)) = submission else {
        return Ok(None);
    };
    match connection.ask(Request::Submit { job: job.clone() }).await? {
        Response::Submitted { job } => {
            reporter.event(Event::JobSubmitted { job: job.id });
            Ok(Some(Submitted { job, connection }))
        }
        _ => Err(Connection::failed(connection.pod(), SessionError::Unexpected).into()),
    }
}
