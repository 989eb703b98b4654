//! Watches that come back after a lost connection.

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher;

use crate::{ApiError, Cluster};

/// What a watch says of a pod.
#[derive(Debug)]
pub enum PodUpdate {
    /// The pod as it is now.
    Is(Box<Pod>),
    /// There is no such pod.
    Gone,
    /// The watch broke and is being tried again.
    Interrupted(ApiError),
}

impl Cluster {
    /// A pod's states from now on, without end; after an interruption it goes on by itself, with backoff.
    pub fn watch_pod(&self, name: &str) -> impl Stream<Item = PodUpdate> + Send + Unpin + use<> {
        let cluster = self.clone();
        let object = self.object::<Pod>(name);
        let events = watcher::watch_object(self.api::<Pod>(), name).default_backoff();
        Box::pin(events.map(move |event| match event {
            Ok(Some(pod)) => PodUpdate::Is(Box::new(pod)),
            Ok(None) => PodUpdate::Gone,
            Err(error) => {
                PodUpdate::Interrupted(cluster.failed("watch", object.clone(), &source_of(error)))
            }
        }))
    }
}

fn source_of(error: watcher::Error) -> kube::Error {
    match error {
        watcher::Error::InitialListFailed(source)
        | watcher::Error::WatchStartFailed(source)
        | watcher::Error::WatchFailed(source) => source,
        watcher::Error::WatchError(status) => kube::Error::Api(status),
        error @ watcher::Error::NoResourceVersion => kube::Error::Service(Box::new(error)),
    }
}

/// One event about a pod.
#[derive(Clone, Debug)]
pub struct PodNews {
    /// The uid of the pod: an older one of the same name has left events too.
    pub pod_uid: String,
    /// `Pulling`, `FailedMount`…
    pub reason: String,
    /// The event's sentence.
    pub message: String,
}

impl Cluster {
    /// The events about a pod, those that happened already included; silent where they may not be read.
    pub fn watch_pod_news(&self, pod: &str) -> impl Stream<Item = PodNews> + Send + use<> {
        let fields = format!("involvedObject.name={pod},involvedObject.kind=Pod");
        let config = watcher::Config::default().fields(&fields);
        let events = watcher::watcher(self.api::<Event>(), config).default_backoff();
        events.filter_map(|event| async move {
            let Ok(watcher::Event::Apply(event) | watcher::Event::InitApply(event)) = event else {
                return None;
            };
            Some(PodNews {
                pod_uid: event.involved_object.uid?,
                reason: event.reason?,
                message: event.message.unwrap_or_default(),
            })
        })
    }
}
