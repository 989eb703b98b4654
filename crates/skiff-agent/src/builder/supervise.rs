//! Stays with the builder: shows its socket once it answers, keeps its log, ends what build steps left behind, notices
//! its death, ends it when the agent has left.

use std::fs;
use std::io;
use std::process::Child;
use std::time::Duration;

use rustix::process::Pid;
use skiff_proto::paths;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::http2::Connection;
use super::inside::{self, Findings};
use super::program::Program;
use super::sandbox::{Sandbox, USER};
use super::{BuilderError, configuration, folder, known, leftovers};
use crate::cgroup::MemoryWatch;
use crate::docker_report::{DockerReport, Phase, log_tail};
use crate::layout::Layout;
use crate::reaper::Reaper;
use crate::report;
use crate::sidecar::daemon_log::Log;
use crate::sidecar::data_lock::DataLock;
use crate::watch_dir::DirWatch;
use crate::wish::{self, Ending, LAST_WORDS, Wish};

/// How often it is looked for what steps have left behind, and for what the log says: nobody tells of either.
const ROUND: Duration = Duration::from_secs(2);

/// Everything that the builder needs.
#[derive(Debug)]
pub(super) struct Prepared {
    /// What starts it.
    pub(super) program: Program,
    /// Its log.
    pub(super) log: Log,
    /// What copies the builder's client to the task; nobody has waited for it.
    pub(super) lending: Child,
    /// The right to data that outlives the pod.
    pub(super) lock: Option<DataLock>,
    /// What the pod lets it do.
    pub(super) sandbox: Sandbox,
}

/// Starts the builder and stays until it has ended.
pub(super) fn supervise(
    prepared: Prepared,
    state: &mut DockerReport,
    layout: &Layout,
    until_marker: bool,
) -> Result<Ending, BuilderError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(BuilderError::Supervise)?;
    runtime.block_on(async {
        // Watched before anything is started, so that nothing that happens meanwhile is missed.
        let wish = Wish::new(layout, until_marker).map_err(BuilderError::Supervise)?;
        let reaper = Reaper::start().map_err(BuilderError::Supervise)?;
        let Prepared {
            program,
            log,
            lending,
            lock: _lock,
            sandbox,
        } = prepared;
        // Registered before the reaper has had its first turn.
        let lent = reaper.register(Pid::from_child(&lending));
        let writer = log.writer()?;
        let pump = log.pump().map_err(BuilderError::Supervise)?;
        if sandbox.must_leave_root() {
            give_away(layout)?;
        }
        let child = program
            .command(layout, &sandbox, writer)
            .and_then(|mut command| command.spawn());
        let child = child.map_err(|error| BuilderError::Start(program.path().to_owned(), error))?;
        let pid = Pid::from_child(&child);
        let mut exit = reaper.register(pid);
        let ending = tokio::select! {
            code = &mut exit => Ending::Died(code.unwrap_or(255)),
            error = attend(state, layout, lent) => return Err(error),
            ending = wish.wait(|_| {}) => ending.map_err(BuilderError::Supervise)?,
        };
        // Nobody is to find a socket behind which nobody is.
        let _ = fs::remove_file(layout.at(paths::BUILDKIT_SOCKET));
        wish::end(pid, exit).await;
        let _ = timeout(LAST_WORDS, pump).await;
        match inside::found(layout).and_then(|findings| findings.refused) {
            Some(refused) => Err(BuilderError::Inside(refused)),
            None => Ok(ending),
        }
    })
}

/// Lets the builder's user write where its socket belongs.
fn give_away(layout: &Layout) -> Result<(), BuilderError> {
    let own = layout.at(paths::BUILDER);
    std::os::unix::fs::chown(&own, Some(USER), Some(USER))
        .map_err(|error| BuilderError::Folder(own, error))
}

/// Shows the socket once the builder answers, then goes its rounds; returns only where that fails.
async fn attend(
    state: &mut DockerReport,
    layout: &Layout,
    lent: oneshot::Receiver<i32>,
) -> BuilderError {
    if let Err(error) = show(layout).await {
        return BuilderError::Folder(layout.at(paths::BUILDKIT_SOCKET), error);
    }
    // Without its client the builder is there all the same.
    let code = lent.await.unwrap_or(255);
    state.tools = Some(format!("copied with code {code}"));
    let findings = inside::found(layout).unwrap_or_default();
    state.storage.clone_from(&findings.storage);
    state.driver.clone_from(&findings.snapshotter);
    state.tried.extend(findings.slower_because.clone());
    state.process_sandbox = Some(findings.process_sandbox);
    state.phase = Phase::Started;
    state.tell(layout);
    let memory = MemoryWatch::find();
    let kills = || memory.as_ref().and_then(MemoryWatch::kills).unwrap_or(0);
    let before = kills();
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        clear(&findings);
        let killed = kills().saturating_sub(before);
        let notice = match killed {
            0 => known::explain(&log_tail(layout)).map(str::to_owned),
            killed => Some(format!(
                "the kernel killed {killed} processes of build steps for want of memory{}: raise the limit of the \
                 container `buildkit`, or build less at once",
                memory
                    .as_ref()
                    .map(MemoryWatch::at_limit)
                    .unwrap_or_default()
            )),
        };
        if notice.is_some() && notice != state.notice {
            state.notice = notice;
            state.tell(layout);
        }
    }
}

/// Ends what steps have left behind, where the kernel does not.
fn clear(findings: &Findings) {
    if let (false, Some(mounts)) = (findings.process_sandbox, &findings.mounts) {
        let count = leftovers::end(mounts);
        if count > 0 {
            report(&format!(
                "ended {count} processes that build steps had left behind"
            ));
        }
    }
}

/// Moves the socket to where it is looked for, once the builder answers there.
async fn show(layout: &Layout) -> io::Result<()> {
    let own = configuration::socket(layout);
    let mut changes = DirWatch::new(&layout.at(paths::BUILDER))?;
    while Connection::open(&own).await.is_err() {
        changes.changed().await?;
    }
    folder::give_to_group(&own)?;
    fs::rename(&own, layout.at(paths::BUILDKIT_SOCKET))
}
