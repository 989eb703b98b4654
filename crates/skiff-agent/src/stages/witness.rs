//! Why a stage failed, as far as its node knows more than its code.

use std::time::Duration;

use skiff_proto::paths;
use tokio::time::{interval, timeout};

use crate::arguments::Engine;
use crate::cgroup::PidsWatch;
use crate::docker_causes::explain;
use crate::docker_report::{DockerReport, Phase, last_words, log_length, log_since};
use crate::environment::Surroundings;
use crate::gate::is_there;
use crate::known::Known;
use crate::layout::Layout;
use crate::memory_sampler::{Lookout, MemorySampler};
use crate::watch_dir::DirWatch;

/// How long a daemon has to answer whether it is there.
const TO_ANSWER: Duration = Duration::from_secs(1);
/// How long the daemon's wrapper has to say why there is no daemon.
const TO_TELL: Duration = Duration::from_secs(3);
/// How long what the daemon has said may be on its way to its log: it writes to a pipe, and answers its client then.
const TO_WRITE: Duration = Duration::from_secs(1);
/// How often the log is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// What is looked at when a stage begins, to be compared when it has failed.
#[derive(Debug)]
pub(super) struct Witness {
    memory: Option<Lookout>,
    pids: Option<PidsWatch>,
    /// The forks refused before.
    refusals: Option<u64>,
    docker: Option<DockerWitness>,
}

impl Witness {
    /// Looks at what there is to see now.
    pub(super) fn new(memory: Option<&MemorySampler>, surroundings: &Surroundings) -> Self {
        let pids = PidsWatch::find();
        Self {
            memory: memory.map(MemorySampler::look_out),
            refusals: pids.as_ref().and_then(PidsWatch::refusals),
            pids,
            docker: surroundings
                .engine
                .map(|engine| DockerWitness::new(engine, &surroundings.layout)),
        }
    }

    /// The cause of an end with another code than 0.
    pub(super) async fn cause(&self) -> Option<String> {
        let own = self.memory.as_ref().and_then(Lookout::cause);
        match (own.or_else(|| self.too_many_processes()), &self.docker) {
            (None, Some(docker)) => docker.cause().await,
            (own, _) => own,
        }
    }

    fn too_many_processes(&self) -> Option<String> {
        let pids = self.pids.as_ref()?;
        let refused = pids.refusals()?.saturating_sub(self.refusals?);
        let now = pids.current().map_or_else(String::new, |now| {
            format!("; {now} processes and threads are there now")
        });
        (refused > 0).then(|| {
            format!(
                "the pod's limit of processes was reached: the kernel refused {refused} new ones{now}; start fewer \
                 at a time, or have the node's `podPidsLimit` raised"
            )
        })
    }
}

/// What is looked at in Docker's sidecar.
#[derive(Debug)]
struct DockerWitness {
    engine: Engine,
    layout: Layout,
    /// Whether there was a daemon.
    is_started: bool,
    /// The kills for want of memory before.
    kills: u64,
    /// The length of the daemon's log before.
    log: u64,
}

impl DockerWitness {
    fn new(engine: Engine, layout: &Layout) -> Self {
        let report = DockerReport::read(layout);
        Self {
            engine,
            layout: layout.clone(),
            is_started: report
                .as_ref()
                .is_some_and(|report| report.phase == Phase::Started),
            kills: report.map_or(0, |report| report.memory_kills),
            log: log_length(layout),
        }
    }

    /// Why Docker may be the cause.
    async fn cause(&self) -> Option<String> {
        if self.is_started && !is_there(self.engine, &self.layout, TO_ANSWER).await {
            let _ = timeout(TO_TELL, self.until_told()).await;
            let why = last_words(&self.layout, "it does not answer any more");
            let what = match self.engine {
                Engine::Daemon => "the Docker daemon",
                Engine::Builder => "the builder",
            };
            return Some(format!("{what} died while the job ran: {why}"));
        }
        let report = DockerReport::read(&self.layout)?;
        if report.memory_kills > self.kills {
            return Some(format!(
                "out of memory: the kernel killed a process of a container or build in Docker {}",
                report.memory_words()
            ));
        }
        let known = timeout(TO_WRITE, self.until_explained()).await.ok()?;
        Some(format!(
            "Docker had trouble that is known: {}",
            known.meaning
        ))
    }

    /// Waits for something in the log that is known.
    async fn until_explained(&self) -> &'static Known {
        let mut looks = interval(LOOK);
        loop {
            looks.tick().await;
            let log = log_since(&self.layout, self.log).unwrap_or_default();
            if let Some(known) = explain(&log) {
                return known;
            }
        }
    }

    /// Waits until the wrapper has told that the daemon has ended.
    async fn until_told(&self) {
        let report = self.layout.at(paths::DOCKER_REPORT);
        let Some(Ok(mut changes)) = report.parent().map(DirWatch::new) else {
            return;
        };
        while DockerReport::read(&self.layout).is_none_or(|report| report.phase == Phase::Started)
            && changes.changed().await.is_ok()
        {}
    }
}
