//! From a plan to a running pod: create what is missing, then wait with a reason.

use std::pin::Pin;
use std::time::Duration;

use futures::future::{Either, try_join_all};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use skiff_compile::{Plan, labels};
use skiff_kube::{
    ApiError, Cluster, Diagnosis, Kind, PodNews, PodState, PodUpdate, Waiting, observe,
};
use skiff_schema::ProvisionTimeout;
use thiserror::Error;
use tokio::time::{Instant, sleep_until};

use crate::{AgentExecutable, Event, Reporter, agents, owner};

/// The containers whose state decides, the task's own first.
pub(crate) const CONTAINERS: &[&str] = &[
    labels::TASK_CONTAINER,
    labels::DOCKER_CONTAINER,
    labels::AGENT_CONTAINER,
];

/// How long a pod may be unschedulable, where the configuration does not say.
const SCHEDULING: Duration = Duration::from_secs(10);
/// How much longer once the cluster has said that it adds a node.
const SCALE_UP: Duration = Duration::from_mins(15);
/// How long nothing may change before waiting is given up; pulling an image is exempt.
const NO_PROGRESS: Duration = Duration::from_mins(10);
/// A start that takes longer than this is explained by the pod's events.
const UNEXPLAINED: Duration = Duration::from_secs(1);

/// Objects of one cluster that are created at the same time.
const AT_A_TIME: usize = 16;

/// Why a pod does not run.
#[derive(Debug, Error)]
pub enum ProvisionError {
    /// The API server refused something.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The pod cannot run.
    #[error("{0}")]
    Pod(Diagnosis),
    /// Somebody deleted the pod while it was being waited for.
    #[error("pod {pod} was deleted while it was starting")]
    Gone {
        /// The pod.
        pod: String,
    },
    /// Nothing changed for a long time.
    #[error("pod {pod} has not come further for {} minutes: {last}", NO_PROGRESS.as_secs() / 60)]
    NoProgress {
        /// The pod.
        pod: String,
        /// What it was waiting for.
        last: String,
    },
}

impl ProvisionError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Api(error) => error.hint(),
            Self::Pod(diagnosis) => diagnosis.hint.clone(),
            Self::Gone { .. } => Some("launch again".to_owned()),
            Self::NoProgress { pod, .. } => {
                Some(format!("`kubectl describe pod {pod}` shows its events"))
            }
        }
    }
}

/// Creates whatever of the plan does not exist yet.
pub(crate) async fn create(
    cluster: &Cluster,
    plan: &Plan,
    executables: &[AgentExecutable],
) -> Result<(), ProvisionError> {
    let (owner_uid, ()) = tokio::try_join!(
        owner::create(cluster, plan),
        agents::deliver(cluster, executables)
    )?;
    put_secrets(cluster, plan, &owner_uid).await?;
    let services = plan.services(&owner_uid);
    let services = services.map(async |service| put_service(cluster, &service).await);
    let pods = plan.pods(&owner_uid);
    let pods = pods.map(async |pod| create_pod(cluster, &pod).await);
    let ranks = services.map(Either::Left).chain(pods.map(Either::Right));
    stream::iter(ranks)
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await
}

/// Brings what a cluster that is up already has of secrets to what the launch gives.
pub(crate) async fn renew(
    cluster: &Cluster,
    plan: &Plan,
    owner_uid: &str,
) -> Result<(), ProvisionError> {
    owner::renew_secrets(cluster, plan).await?;
    put_secrets(cluster, plan, owner_uid).await?;
    Ok(())
}

/// Creates the plan's Secrets; those of an earlier launch get this one's values.
async fn put_secrets(cluster: &Cluster, plan: &Plan, owner_uid: &str) -> Result<(), ApiError> {
    for secret in plan.secrets(owner_uid) {
        let change = serde_json::json!({
            "metadata": metadata_of(&secret.metadata),
            "stringData": secret.string_data,
        });
        put(cluster, &secret, &change).await?;
    }
    Ok(())
}

/// Creates a Service; one of an earlier launch becomes this one's.
async fn put_service(cluster: &Cluster, service: &Service) -> Result<(), ProvisionError> {
    let change = serde_json::json!({ "metadata": metadata_of(&service.metadata) });
    Ok(put(cluster, service, &change).await?)
}

/// What makes an object of an earlier cluster of this name one of the cluster that is there now.
fn metadata_of(metadata: &ObjectMeta) -> serde_json::Value {
    serde_json::json!({
        "ownerReferences": metadata.owner_references,
        "labels": metadata.labels,
        "annotations": metadata.annotations,
    })
}

/// Creates an object, or changes the one that is there.
async fn put<K: Kind>(
    cluster: &Cluster,
    object: &K,
    change: &serde_json::Value,
) -> Result<(), ApiError> {
    let name = object.metadata().name.as_deref().unwrap_or_default();
    loop {
        match cluster.create(object).await {
            Err(error) if error.is_conflict() => {}
            result => return result.map(drop),
        }
        match cluster.patch::<K>(name, change).await {
            // It went with an older cluster of this name.
            Err(error) if error.is_not_found() => {}
            result => return result.map(drop),
        }
    }
}

/// Creates a pod; one that has ended, or is on its way out, is replaced.
async fn create_pod(cluster: &Cluster, pod: &Pod) -> Result<(), ProvisionError> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    loop {
        match cluster.create(pod).await {
            Err(error) if error.is_conflict() => {}
            result => return Ok(result.map(drop)?),
        }
        let Some(present) = cluster.get::<Pod>(name).await? else {
            continue;
        };
        match observe(&present, CONTAINERS) {
            PodState::Completed | PodState::Failed(_) => {
                cluster
                    .delete::<Pod>(name, present.metadata.uid.as_deref())
                    .await?;
            }
            PodState::Waiting(Waiting::Deletion) => {}
            PodState::Waiting(_) | PodState::Stuck { .. } | PodState::Running => return Ok(()),
        }
        wait_gone(cluster, name, present.metadata.uid.as_deref()).await;
    }
}

/// Waits until a pod of this uid is no more.
pub(crate) async fn wait_gone(cluster: &Cluster, name: &str, uid: Option<&str>) {
    let mut updates = cluster.watch_pod(name);
    while let Some(update) = updates.next().await {
        match update {
            PodUpdate::Gone => return,
            PodUpdate::Is(pod) if pod.metadata.uid.as_deref() != uid => return,
            PodUpdate::Is(_) | PodUpdate::Interrupted(_) => {}
        }
    }
}

/// Waits until the task containers of all pods run; the first that never will is the error.
pub(crate) async fn wait_all_running(
    cluster: &Cluster,
    plan: &Plan,
    patience: Option<ProvisionTimeout>,
    reporter: &dyn Reporter,
) -> Result<(), ProvisionError> {
    let pods: Vec<String> = plan.pod_names().collect();
    let waits = pods
        .iter()
        .map(|pod| wait_running(cluster, pod, patience, reporter));
    try_join_all(waits).await.map(drop)
}

/// Waits until the pod's task container runs, telling what it waits for.
pub(crate) async fn wait_running(
    cluster: &Cluster,
    pod: &str,
    patience: Option<ProvisionTimeout>,
    reporter: &dyn Reporter,
) -> Result<(), ProvisionError> {
    let mut wait = Wait::new(pod, patience);
    let mut updates = cluster.watch_pod(pod);
    let mut news: Pin<Box<dyn Stream<Item = PodNews> + Send>> =
        Box::pin(futures::stream::pending());
    let unexplained = Instant::now() + UNEXPLAINED;
    let mut explained = false;
    loop {
        tokio::select! {
            Some(update) = updates.next() => {
                if wait.update(update, reporter)? {
                    return Ok(());
                }
            }
            Some(item) = news.next() => wait.news(&item, reporter),
            () = sleep_until(unexplained), if !explained => {
                explained = true;
                news = Box::pin(cluster.watch_pod_news(pod));
            }
            () = sleep_until(wait.deadline()) => return Err(wait.too_late()),
        }
    }
}

/// What is known while a pod is waited for.
struct Wait {
    pod: String,
    /// How long it may be unschedulable; None is for ever.
    scheduling: Option<Duration>,
    /// Whether the pod has been seen at all: a watch may start before the pod's creation is known to it.
    seen: bool,
    /// What it is stuck on, and until when that is borne.
    stuck: Option<(Diagnosis, Option<Instant>)>,
    last: String,
    last_change: Instant,
    pulling: bool,
}

impl Wait {
    fn new(pod: &str, patience: Option<ProvisionTimeout>) -> Self {
        let scheduling = match patience {
            None => Some(SCHEDULING),
            Some(ProvisionTimeout::After(time)) => Some(time),
            Some(ProvisionTimeout::Forever) => None,
        };
        Self {
            pod: pod.to_owned(),
            scheduling,
            seen: false,
            stuck: None,
            last: String::new(),
            last_change: Instant::now(),
            pulling: false,
        }
    }

    /// Takes in what the watch says; true once the container runs.
    fn update(
        &mut self,
        update: PodUpdate,
        reporter: &dyn Reporter,
    ) -> Result<bool, ProvisionError> {
        let pod = match update {
            PodUpdate::Is(pod) => pod,
            PodUpdate::Gone if self.seen => {
                return Err(ProvisionError::Gone {
                    pod: self.pod.clone(),
                });
            }
            PodUpdate::Gone => return Ok(false),
            PodUpdate::Interrupted(error) if error.is_transient() => {
                self.say(
                    format!("waiting for the API server: {}", error.cause),
                    reporter,
                );
                return Ok(false);
            }
            PodUpdate::Interrupted(error) => return Err(error.into()),
        };
        self.seen = true;
        match observe(&pod, CONTAINERS) {
            PodState::Running => return Ok(true),
            PodState::Failed(diagnosis) => return Err(ProvisionError::Pod(diagnosis)),
            PodState::Completed => {
                return Err(ProvisionError::Gone {
                    pod: self.pod.clone(),
                });
            }
            PodState::Stuck { diagnosis, grace } => self.stick(diagnosis, grace, reporter),
            PodState::Waiting(waiting) => {
                if !matches!(waiting, Waiting::Starting { .. } if self.image_trouble()) {
                    self.stuck = None;
                }
                self.say(describe(&waiting), reporter);
            }
        }
        Ok(false)
    }

    /// Between two tries the kubelet shows a container as merely waiting.
    fn image_trouble(&self) -> bool {
        self.stuck
            .as_ref()
            .is_some_and(|(diagnosis, _)| diagnosis.cause.contains("cannot be pulled"))
    }

    fn stick(&mut self, diagnosis: Diagnosis, grace: Option<Duration>, reporter: &dyn Reporter) {
        let before = self
            .stuck
            .take()
            .filter(|(before, _)| before.object == diagnosis.object);
        self.stuck = Some(match before {
            // Between two tries the kubelet says only that it waits: what it said before is the cause.
            Some((before, until)) if diagnosis.cause.ends_with("BackOff") => (before, until),
            Some((_, until)) => {
                self.say(diagnosis.cause.clone(), reporter);
                (diagnosis, until)
            }
            None => {
                self.say(diagnosis.cause.clone(), reporter);
                let until = grace.or(self.scheduling).map(|time| Instant::now() + time);
                (diagnosis, until)
            }
        });
    }

    fn news(&mut self, news: &PodNews, reporter: &dyn Reporter) {
        self.pulling = news.reason == "Pulling";
        match news.reason.as_str() {
            "TriggeredScaleUp" => {
                if let Some((_, Some(until))) = &mut self.stuck {
                    *until = Instant::now() + SCALE_UP;
                }
                self.say("the cluster is adding a node".to_owned(), reporter);
            }
            "Pulling" => self.say(lower_first(&news.message), reporter),
            "FailedMount" | "FailedAttachVolume" | "FailedCreatePodSandBox" => {
                self.say(lower_first(&news.message), reporter);
            }
            _ => {}
        }
    }

    fn say(&mut self, what: String, reporter: &dyn Reporter) {
        if self.last != what {
            self.last.clone_from(&what);
            self.last_change = Instant::now();
            reporter.event(Event::Waiting(what));
        }
    }

    fn deadline(&self) -> Instant {
        match &self.stuck {
            Some((_, Some(until))) => *until,
            Some((_, None)) => Instant::now() + NO_PROGRESS,
            None if self.pulling => Instant::now() + NO_PROGRESS,
            None => self.last_change + NO_PROGRESS,
        }
    }

    fn too_late(self) -> ProvisionError {
        match self.stuck {
            Some((diagnosis, _)) => ProvisionError::Pod(diagnosis),
            None => ProvisionError::NoProgress {
                pod: self.pod,
                last: self.last,
            },
        }
    }
}

fn describe(waiting: &Waiting) -> String {
    match waiting {
        Waiting::Scheduling => "waiting for a node".to_owned(),
        Waiting::Starting { container, .. } if container.is_empty() => "starting".to_owned(),
        Waiting::Starting { container, image } => format!("starting {container} ({image})"),
        Waiting::Restarting { reason } => format!("waiting for a restart: {reason}"),
        Waiting::Deletion => "waiting for an older pod to end".to_owned(),
    }
}

/// Kubernetes writes sentences; progress is fragments.
fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}

#[cfg(test)]
mod tests;
