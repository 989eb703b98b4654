//! What stands at a worker where the head has its keeper: nothing is decided here but the way out.

use std::sync::Arc;

use skiff_proto::STOPPED;
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, mpsc, watch};

use crate::keeper::Command;
use crate::queue::{Departure, Event};
use crate::stages::Stages;

/// The worker's own part. See the module.
pub(crate) struct Worker {
    stages: Stages,
    docker: DockerGate,
}

impl Worker {
    /// One that has not begun.
    pub(crate) fn new(stages: Stages, docker: DockerGate) -> Self {
        Self { stages, docker }
    }

    /// Runs until all stages have ended and the agent may go.
    pub(crate) async fn run(self, mut commands: mpsc::Receiver<Command>) {
        while let Some(command) = commands.recv().await {
            match command {
                Command::Leave(departure) => return self.stages.end_all(cause(departure)).await,
                Command::Event(Event::DockerReady) => self.docker.set(State::Open),
                Command::Event(Event::DockerLost { .. }) => self.docker.set(State::Shut),
                Command::Event(Event::DockerLate { cause }) => self.docker.set(State::Late(cause)),
                // Jobs are the head's: whoever asks for them here is refused before.
                _ => {}
            }
        }
    }
}

fn cause(departure: Departure) -> &'static str {
    match departure {
        Departure::Stopped => STOPPED,
        Departure::Down => "the cluster was taken down",
        Departure::Stop => "the cluster was stopped",
        Departure::Idle => "the cluster was idle for long enough",
    }
}

/// The one place of a head at its worker: who comes last has it, once the one before has gone. After a cut a head is back
/// before its worker has missed it.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeadPlace {
    newest: Arc<watch::Sender<u64>>,
    place: Arc<Mutex<()>>,
}

/// Has the place until it is dropped.
pub(crate) struct Placed {
    number: u64,
    newest: watch::Receiver<u64>,
    _place: OwnedMutexGuard<()>,
}

impl HeadPlace {
    /// Sends away whoever has the place, and waits until he has gone.
    pub(crate) async fn take(&self) -> Placed {
        let mut number = 0;
        self.newest.send_modify(|newest| {
            *newest += 1;
            number = *newest;
        });
        let place = Arc::clone(&self.place).lock_owned().await;
        Placed {
            number,
            newest: self.newest.subscribe(),
            _place: place,
        }
    }
}

impl Placed {
    /// Waits until another head has come.
    pub(crate) async fn replaced(&mut self) {
        let number = self.number;
        // The sender lives as long as the agent: the wait cannot fail.
        let _ = self.newest.wait_for(|newest| *newest > number).await;
    }
}

/// Whether stages on this worker may count on Docker.
#[derive(Clone, Debug)]
pub(crate) struct DockerGate {
    state: Arc<watch::Sender<State>>,
    /// Told when a stage waits: the daemon has its time from then on.
    awaited: Arc<Notify>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// The task has no Docker, or the daemon answers.
    Open,
    /// The daemon does not answer.
    Shut,
    /// It did not in the time that a stage waits.
    Late(String),
}

impl DockerGate {
    /// A gate that is shut where there is Docker: until the daemon answers.
    pub(crate) fn new(docker: bool, awaited: Arc<Notify>) -> Self {
        let state = if docker { State::Shut } else { State::Open };
        let state = Arc::new(watch::Sender::new(state));
        Self { state, awaited }
    }

    /// Waits for the daemon; an error says why it does not come.
    pub(crate) async fn pass(&self) -> Result<(), String> {
        let mut state = self.state.subscribe();
        // Whoever waits anew gives the daemon its time anew.
        self.state.send_if_modified(|state| {
            let is_late = matches!(state, State::Late(_));
            if is_late {
                *state = State::Shut;
            }
            is_late
        });
        if *state.borrow() == State::Shut {
            self.awaited.notify_one();
        }
        match state
            .wait_for(|state| *state != State::Shut)
            .await
            .as_deref()
        {
            Ok(State::Late(cause)) => Err(format!("Docker did not become ready: {cause}")),
            // The sender is held here: the wait cannot fail.
            _ => Ok(()),
        }
    }

    fn set(&self, state: State) {
        self.state.send_replace(state);
    }
}
