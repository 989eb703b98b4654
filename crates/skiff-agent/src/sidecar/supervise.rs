//! Stays with the daemon: keeps its log, notices its death, ends it when the agent has left.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::process::Child;
use std::task::Poll;

use rustix::process::Pid;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::containerd::Containerd;
use super::daemon::Daemon;
use super::daemon_log::Log;
use super::memory::MemoryEvents;
use super::storage::Storage;
use super::upkeep::Upkeep;
use super::{SidecarError, lent_home};
use crate::docker_report::{DockerReport, Phase};
use crate::layout::Layout;
use crate::reaper::Reaper;
use crate::wish::{self, Ending, LAST_WORDS, Wish};

/// The code of a process that was killed.
const KILLED: i32 = 137;

/// Everything that the daemon needs.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The daemon, not yet started.
    pub(super) daemon: Daemon,
    /// The process that copies the tools, if there is one; nobody has waited for it.
    pub(super) tools: Option<Child>,
    /// Its containerd, started.
    pub(super) containerd: Option<Containerd>,
    /// The log of both.
    pub(super) log: Log,
    /// Where the data lies, and the right to it.
    pub(super) storage: Storage,
}

/// Starts the daemon and stays until it has ended.
pub(super) fn supervise(
    prepared: Prepared,
    state: &mut DockerReport,
    layout: &Layout,
    until_marker: bool,
) -> Result<Ending, SidecarError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(SidecarError::Supervise)?;
    runtime.block_on(async {
        // Watched before the daemon is started, so that nothing that happens meanwhile is missed.
        let wish = Wish::new(layout, until_marker).map_err(SidecarError::Supervise)?;
        let memory = MemoryEvents::watch();
        state.memory_limit = memory.as_ref().and_then(MemoryEvents::limit);
        state.memory_kills = memory.as_ref().map_or(0, MemoryEvents::kills);
        let reaper = Reaper::start().map_err(SidecarError::Supervise)?;
        let mut processes = Processes::start(prepared, &reaper).await?;
        // Several look after different things, and each tells of its own.
        let shared = RefCell::new(std::mem::take(state));
        let ending = match processes.died {
            Some(code) => Ok(Ending::Died(code)),
            None => stay(&mut processes, wish, memory, &shared, layout).await,
        };
        *state = shared.into_inner();
        if let Ok(Ending::Died(code)) = ending {
            state.phase = Phase::Died;
            state.cause = Some(death(state, code));
            // At once: the jobs that have lost it fail now.
            state.tell(layout);
        }
        processes.end().await;
        ending
    })
}

/// The processes that the wrapper has started.
#[derive(Debug)]
struct Processes {
    /// The daemon, then its containerd: in the order in which they are ended.
    daemons: Vec<(Pid, oneshot::Receiver<i32>)>,
    /// What copies the tools.
    tools: Option<oneshot::Receiver<i32>>,
    /// The code of the first that ended before all were started.
    died: Option<i32>,
    /// What keeps the log of all.
    pump: JoinHandle<()>,
    /// Held as long as they run.
    storage: Storage,
}

impl Processes {
    async fn start(prepared: Prepared, reaper: &Reaper) -> Result<Self, SidecarError> {
        let Prepared {
            daemon,
            tools,
            containerd,
            log,
            storage,
        } = prepared;
        // Registered before the reaper has had its first turn.
        let containerd = containerd.map(|containerd| {
            let pid = Pid::from_child(&containerd.child);
            (containerd, pid, reaper.register(pid))
        });
        let tools = tools.map(|child| reaper.register(Pid::from_child(&child)));
        let writer = log.writer()?;
        let pump = log.pump().map_err(SidecarError::Supervise)?;
        let mut processes = Self {
            daemons: Vec::new(),
            tools,
            died: None,
            pump,
            storage,
        };
        if let Some((containerd, pid, mut exit)) = containerd {
            let there = tokio::select! {
                code = &mut exit => {
                    processes.died = Some(code.unwrap_or(255));
                    return Ok(processes);
                }
                there = Containerd::is_there() => there,
            };
            there.map_err(|error| SidecarError::Daemon(containerd.program().to_owned(), error))?;
            processes.daemons.push((pid, exit));
        }
        let daemon_error = |error| SidecarError::Daemon(daemon.program().to_owned(), error);
        let child = daemon
            .command(writer)
            .and_then(|mut command| command.spawn());
        let pid = Pid::from_child(&child.map_err(daemon_error)?);
        processes.daemons.insert(0, (pid, reaper.register(pid)));
        Ok(processes)
    }

    /// Ends them, and waits for what they still write.
    async fn end(self) {
        for (pid, exit) in self.daemons {
            wish::end(pid, exit).await;
        }
        // Their last words tell why; a container's process may hold the pipe's other end for longer.
        let _ = tokio::time::timeout(LAST_WORDS, self.pump).await;
    }
}

/// Stays until a daemon ends or is wished to, and tells meanwhile what is to be told.
async fn stay(
    processes: &mut Processes,
    wish: Wish,
    memory: Option<MemoryEvents>,
    state: &RefCell<DockerReport>,
    layout: &Layout,
) -> Result<Ending, SidecarError> {
    let Processes {
        daemons,
        tools,
        storage,
        ..
    } = processes;
    let upkeep = Upkeep::new(layout, storage);
    tokio::select! {
        // A kill is known before the end of whoever was killed.
        biased;
        never = tell_kills(memory, state, layout) => match never {},
        code = death_of(daemons) => Ok(Ending::Died(code)),
        ending = wish.wait(lent_home::lend) => ending.map_err(SidecarError::Supervise),
        error = upkeep.run(tools.take(), state) => Err(error),
    }
}

/// Has the report count the kills for want of memory, as long as they are known.
async fn tell_kills(
    mut memory: Option<MemoryEvents>,
    state: &RefCell<DockerReport>,
    layout: &Layout,
) -> Infallible {
    while let Some(events) = &mut memory
        && events.more().await.is_ok()
    {
        state.borrow_mut().memory_kills = events.kills();
        state.borrow().tell(layout);
    }
    std::future::pending().await
}

/// The code of the first daemon that ends.
async fn death_of(daemons: &mut [(Pid, oneshot::Receiver<i32>)]) -> i32 {
    poll_fn(|context| {
        let ended = daemons
            .iter_mut()
            .find_map(|(_, exit)| match Pin::new(exit).poll(context) {
                Poll::Ready(code) => Some(code.unwrap_or(255)),
                Poll::Pending => None,
            });
        ended.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Why a daemon has ended, as far as its code tells.
fn death(state: &DockerReport, code: i32) -> String {
    if code == KILLED && state.memory_kills > 0 {
        return format!("the kernel killed the daemon {}", state.memory_words());
    }
    format!("the daemon ended with code {code}")
}
