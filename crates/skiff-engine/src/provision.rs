//! From a pod that was created to one that runs: waiting with a reason.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::future::try_join_all;
use futures::{Stream, StreamExt};
use skiff_compile::{Nodes, labels};
use skiff_kube::{ApiError, Cluster, Diagnosis, PodNews, PodState, PodUpdate, Waiting, observe};
use skiff_schema::ProvisionTimeout;
use thiserror::Error;
use tokio::time::{Instant, sleep_until};

use crate::nodes::GOING;
use crate::{Event, Reporter};

/// The containers whose state decides, the task's own first.
pub(crate) const CONTAINERS: &[&str] = &[
    labels::TASK_CONTAINER,
    labels::DOCKER_CONTAINER,
    labels::BUILDKIT_CONTAINER,
    labels::TOOLS_CONTAINER,
    labels::AGENT_CONTAINER,
];

/// How long a pod may be unschedulable, where the configuration does not say.
const SCHEDULING: Duration = Duration::from_secs(10);
/// How long the pod's volumes may take to be made, where the configuration does not say.
const BINDING: Duration = Duration::from_mins(3);
/// What the scheduler says as long as they are being made.
const UNBOUND: &str = "unbound immediate PersistentVolumeClaims";
/// How much longer once the cluster has said that it adds a node.
const SCALE_UP: Duration = Duration::from_mins(15);
/// How long nothing may change before waiting is given up; pulling an image is exempt.
const NO_PROGRESS: Duration = Duration::from_mins(10);
/// A start that takes longer than this is explained by the pod's events.
const UNEXPLAINED: Duration = Duration::from_secs(1);

/// Why a pod does not run.
#[derive(Debug, Error)]
pub enum ProvisionError {
    /// The API server refused something.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The pod cannot run.
    #[error("{0}")]
    Pod(Diagnosis),
    /// No node of Kubernetes' has room for the pod now.
    #[error("{0}")]
    NoRoom(Diagnosis),
    /// The volume of a node's home, or its disk for Docker, cannot be claimed.
    #[error("a volume of a node cannot be claimed")]
    Claim(#[source] ApiError),
    /// An older pod of the same name does not go.
    #[error("the older pod {pod} has not ended within {} minutes", GOING.as_secs() / 60)]
    Lingers {
        /// The pod.
        pod: String,
    },
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
            Self::Pod(diagnosis) | Self::NoRoom(diagnosis) => diagnosis.hint.clone(),
            Self::Claim(_) => Some(
                "`kubernetes.home_volume` and `storage: block` of `enable_docker` need the right to create, change and delete persistentvolumeclaims in \
                 the namespace: ask for it, or launch without"
                    .to_owned(),
            ),
            Self::Lingers { pod } => Some(format!(
                "its Kubernetes node may be lost: `kubectl delete pod {pod} --force` gives the name free"
            )),
            Self::Gone { .. } => Some("launch again".to_owned()),
            Self::NoProgress { pod, .. } => {
                Some(format!("`kubectl describe pod {pod}` shows its events"))
            }
        }
    }
}

/// Waits until the task containers of all nodes run; the first that never will is the error.
pub(crate) async fn wait_all_running(
    cluster: &Cluster,
    nodes: &Nodes,
    patience: Option<ProvisionTimeout>,
    reporter: &dyn Reporter,
) -> Result<(), ProvisionError> {
    let running = AtomicU32::new(0);
    let waits = nodes.pod_names().map(async |pod| {
        let at = PodReporter {
            reporter,
            pod: &pod,
            running: &running,
            count: nodes.count(),
        };
        let result = wait_running(cluster, &pod, patience, &at).await;
        running.fetch_add(1, Ordering::Relaxed);
        result
    });
    try_join_all(waits).await.map(drop)
}

/// Says of which of several pods it speaks, and how many run.
struct PodReporter<'a> {
    reporter: &'a dyn Reporter,
    pod: &'a str,
    running: &'a AtomicU32,
    count: u32,
}

impl Reporter for PodReporter<'_> {
    fn event(&self, event: Event) {
        self.reporter.event(match event {
            Event::Waiting(what) if self.count > 1 => {
                let running = self.running.load(Ordering::Relaxed);
                let (count, pod) = (self.count, self.pod);
                Event::Waiting(format!("{running} of {count} nodes run; {pod}: {what}"))
            }
            event => event,
        });
    }

    fn log(&self, bytes: &[u8]) -> io::Result<()> {
        self.reporter.log(bytes)
    }
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
    /// How long it may be unschedulable; None is what fits the cause.
    patience: Option<ProvisionTimeout>,
    /// Whether what it is stuck on is that no node takes it.
    unschedulable: bool,
    /// The uid of the pod, once it has been seen: a watch may start before the pod's creation is known to it.
    seen: Option<String>,
    /// What it is stuck on, and until when that is borne.
    stuck: Option<(Diagnosis, Option<Instant>)>,
    last: String,
    last_change: Instant,
    pulling: bool,
}

impl Wait {
    fn new(pod: &str, patience: Option<ProvisionTimeout>) -> Self {
        Self {
            pod: pod.to_owned(),
            patience,
            seen: None,
            unschedulable: false,
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
            PodUpdate::Gone if self.seen.is_some() => {
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
        self.seen.clone_from(&pod.metadata.uid);
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

    /// How long it may be unschedulable for this cause; None is for ever.
    fn scheduling(&self, cause: &str) -> Option<Duration> {
        match self.patience {
            None if cause.contains(UNBOUND) => Some(BINDING),
            None => Some(SCHEDULING),
            Some(ProvisionTimeout::After(time)) => Some(time),
            Some(ProvisionTimeout::Forever) => None,
        }
    }

    fn stick(&mut self, diagnosis: Diagnosis, grace: Option<Duration>, reporter: &dyn Reporter) {
        self.unschedulable = grace.is_none();
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
                let borne = grace.or_else(|| self.scheduling(&diagnosis.cause));
                let until = borne.map(|time| Instant::now() + time);
                (diagnosis, until)
            }
        });
    }

    fn news(&mut self, news: &PodNews, reporter: &dyn Reporter) {
        if self.seen.as_ref() != Some(&news.pod_uid) {
            return;
        }
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
            Some((diagnosis, _)) if self.unschedulable => ProvisionError::NoRoom(diagnosis),
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
