//! Tries a mode out: a small cluster of its own that builds an image, runs it, and is taken down.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use skiff_kube::Cluster;
use skiff_proto::JobStatus;
use skiff_schema::DockerMode;
use thiserror::Error;
use tokio::time::timeout;

use crate::cluster::{ClusterError, find};
use crate::{
    DownError, Event, Interrupt, LaunchError, LaunchRequest, Outcome, Reporter, down, launch,
    prepare,
};

/// How long all of it may take, pulls included.
const PATIENCE: Duration = Duration::from_mins(15);
/// What the job's own lines begin with.
const MARK: &str = "skiff-check: ";
/// How many lines of a failed job are kept.
const KEPT_LINES: usize = 12;

/// What a mode took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct SelfTest {
    /// Seconds from the launch to a job that has Docker: scheduling and pulls included.
    pub ready_s: f64,
    /// Seconds of a build of an image of one file.
    pub build_s: f64,
    /// Seconds of a container of that image, in the mode that runs containers.
    pub run_s: Option<f64>,
}

/// Why a mode does not work, or could not be tried.
#[derive(Debug, Error)]
pub enum SelfTestError {
    /// The launch failed.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The job failed.
    #[error("the job failed: {0}")]
    Failed(String),
    /// The user ended it.
    #[error("interrupted")]
    Interrupted,
    /// It took too long.
    #[error("it has not ended within {} minutes", PATIENCE.as_secs() / 60)]
    Late,
    /// What was made could not be found again.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// What was made could not be removed.
    #[error(transparent)]
    Down(#[from] DownError),
}

impl SelfTestError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Launch(error) => error.hint(),
            Self::Cluster(error) => error.hint(),
            Self::Down(error) => error.hint(),
            Self::Failed(_) | Self::Interrupted | Self::Late => None,
        }
    }
}

/// The job: the agent's own executable needs no library, so it is an image by itself and nothing is pulled.
pub fn script(mode: DockerMode) -> String {
    let run = match mode {
        DockerMode::All => "docker run --rm --network none skiff-check --version\nnow ran\n",
        DockerMode::Off | DockerMode::Build => "",
    };
    format!(
        "set -e\n\
         now() {{ read up rest < /proc/uptime; echo \"{MARK}$1 $up\"; }}\n\
         now ready\n\
         mkdir -p \"/tmp/skiff-check.$$\"\n\
         cd \"/tmp/skiff-check.$$\"\n\
         cp /skiff/bin/task check\n\
         printf 'FROM scratch\\nCOPY check /check\\nENTRYPOINT [\"/check\"]\\n' > Dockerfile\n\
         now begun\n\
         docker buildx build -q -t skiff-check . 2>&1\n\
         now built\n\
         {run}"
    )
}

/// Launches the task of a request, whose command is [`script`], and takes its cluster down again, however it ends.
pub async fn self_test(
    cluster: &Cluster,
    request: LaunchRequest,
    interrupt: &Interrupt,
    reporter: &dyn Reporter,
) -> Result<SelfTest, SelfTestError> {
    let (name, user) = (request.cluster.clone(), request.user.clone());
    let watch = Stopwatch {
        reporter,
        begun: Instant::now(),
        seen: Mutex::default(),
    };
    let late = Interrupt::default();
    let work = async {
        let trying = try_out(cluster, request, &late, &watch);
        tokio::pin!(trying);
        tokio::select! {
            result = &mut trying => return result,
            () = interrupt.raised() => {}
        }
        // A launch that is told to end removes what it has made so far.
        late.raise();
        let _ = trying.await;
        Err(SelfTestError::Interrupted)
    };
    let result = timeout(PATIENCE, Box::pin(work))
        .await
        .unwrap_or(Err(SelfTestError::Late));
    let removed = remove(cluster, &user, &name, reporter).await;
    let ready = result?;
    removed?;
    Ok(ready)
}

async fn try_out(
    cluster: &Cluster,
    request: LaunchRequest,
    interrupt: &Interrupt,
    watch: &Stopwatch<'_>,
) -> Result<SelfTest, SelfTestError> {
    let prepared = Box::pin(prepare(cluster, request)).await?;
    let launched = Box::pin(launch(cluster, &prepared, interrupt, watch)).await?;
    match launched.outcome {
        Some(Outcome::Read(job)) if job.status == JobStatus::Succeeded => watch.result(),
        Some(Outcome::Read(job)) => Err(SelfTestError::Failed(
            job.cause.unwrap_or_else(|| watch.last_lines()),
        )),
        Some(Outcome::Interrupted(_)) | None => Err(SelfTestError::Interrupted),
    }
}

/// Takes the cluster down, where there is one.
async fn remove(
    cluster: &Cluster,
    user: &crate::User,
    name: &str,
    reporter: &dyn Reporter,
) -> Result<(), SelfTestError> {
    match find(cluster, user, name).await {
        Ok(skiff) => Ok(down(cluster, &skiff, reporter).await?),
        Err(ClusterError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Reads the times out of the job's output.
struct Stopwatch<'a> {
    reporter: &'a dyn Reporter,
    begun: Instant,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    output: Vec<u8>,
    ready: Option<Duration>,
}

impl Reporter for Stopwatch<'_> {
    fn event(&self, event: Event) {
        // What follows the start is the business of this test alone.
        if matches!(
            event,
            Event::Creating { .. } | Event::Waiting(_) | Event::Note(_)
        ) {
            self.reporter.event(event);
        }
    }

    fn log(&self, bytes: &[u8]) -> io::Result<()> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.ready.get_or_insert_with(|| self.begun.elapsed());
        seen.output.extend_from_slice(bytes);
        Ok(())
    }
}

impl Stopwatch<'_> {
    fn text(&self) -> String {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&seen.output).into_owned()
    }

    fn result(&self) -> Result<SelfTest, SelfTestError> {
        let text = self.text();
        let ready = self
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .ready;
        let at = |name: &str| moment(&text, name);
        let (Some(ready), Some(begun), Some(built)) = (ready, at("begun"), at("built")) else {
            return Err(SelfTestError::Failed(self.last_lines()));
        };
        Ok(SelfTest {
            ready_s: ready.as_secs_f64(),
            build_s: built - begun,
            run_s: at("ran").map(|ran| ran - built),
        })
    }

    /// The end of the job's output.
    fn last_lines(&self) -> String {
        let text = self.text();
        let own = |line: &&str| !line.contains(MARK);
        let lines: Vec<&str> = text.lines().filter(own).collect();
        lines[lines.len().saturating_sub(KEPT_LINES)..].join("\n")
    }
}

/// When the job said that it had come so far: seconds since its node's start.
fn moment(text: &str, name: &str) -> Option<f64> {
    let mut lines = text.lines();
    lines.find_map(|line| {
        let (_, said) = line.split_once(MARK)?;
        let (what, second) = said.split_once(' ')?;
        (what == name).then(|| second.trim().parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_found_behind_whatever_the_log_puts_before_lines() {
        let text =
            "(task, pid=1) skiff-check: begun 10.50\nnoise\n(task) skiff-check: built 12.75\n";
        assert_eq!(moment(text, "begun"), Some(10.5));
        assert_eq!(moment(text, "built"), Some(12.75));
        assert_eq!(moment(text, "ran"), None);
    }

    #[test]
    fn only_the_mode_that_runs_containers_is_asked_to() {
        assert!(script(DockerMode::All).contains("docker run"));
        assert!(!script(DockerMode::Build).contains("docker run"));
    }
}
