//! What stands at a worker where the head has its keeper: nothing is decided here but the way out.

use std::sync::Arc;

use skiff_proto::STOPPED;
use tokio::sync::{Notify, mpsc, watch};

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
