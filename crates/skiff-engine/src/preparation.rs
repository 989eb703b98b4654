//! Whether a cluster is set up already as a task wants it: which job did it, and that it did not fail.

use k8s_openapi::api::core::v1::Secret;
use serde::{Deserialize, Serialize};
use skiff_compile::Plan;
use skiff_kube::{ApiError, Cluster};
use skiff_proto::{JobRecord, JobStatus, Request, Response};

use crate::connect::Connection;

/// Key within the owner Secret.
const KEY: &str = "prepared.json";

/// The last setup of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Preparation {
    /// Hash of all that it may depend on.
    hash: String,
    /// The submission of the job that ran it.
    submission: String,
}

impl Preparation {
    /// What the owner Secret of a cluster says.
    pub(crate) fn from_secret(secret: &Secret) -> Option<Self> {
        serde_json::from_slice(&secret.data.as_ref()?.get(KEY)?.0).ok()
    }

    /// Whether it was for all that this plan's setup depends on, and has ended well. What cannot be found out was not.
    pub(crate) async fn is_good_for(&self, cluster: &Cluster, plan: &Plan) -> bool {
        if self.hash != plan.preparation {
            return false;
        }
        let asking = async {
            let connection = Connection::open(cluster, &plan.cluster.pod(0)).await?;
            connection.ask(Request::Queue).await
        };
        let Ok(Response::Jobs { jobs }) = asking.await else {
            return false;
        };
        let done = |job: &JobRecord| {
            let status = job.status;
            job.submission == self.submission
                && matches!(
                    status,
                    JobStatus::Running | JobStatus::Succeeded | JobStatus::Failed
                )
        };
        jobs.iter().any(done)
    }
}

/// Has the owner Secret remember which job sets the cluster up, and for what.
pub(crate) async fn remember(
    cluster: &Cluster,
    plan: &Plan,
    job: &JobRecord,
) -> Result<(), ApiError> {
    let preparation = Preparation {
        hash: plan.preparation.clone(),
        submission: job.submission.clone(),
    };
    let json = serde_json::to_string(&preparation).expect("two texts are always valid JSON");
    let patch = serde_json::json!({ "stringData": { KEY: json } });
    match cluster.patch::<Secret>(plan.cluster.as_str(), &patch).await {
        // Taken down meanwhile: nobody will ask.
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}
