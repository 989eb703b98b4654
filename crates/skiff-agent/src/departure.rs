//! The agent's way out: the first demand to go counts; then the queue closes, jobs end, and the container says why.

use std::fs::File;
use std::io::{self, Write};

use skiff_proto::{Autostop, Farewell, Left, paths};
use tokio::sync::mpsc;

use crate::idle;
use crate::keeper::Command;
use crate::queue::Departure;
use crate::report;

/// Demands on their way; their senders wait where nobody has heard them yet.
const DEMANDS: usize = 4;

/// Brings the agent to its end.
pub(crate) struct Leaver {
    demands: mpsc::Receiver<Departure>,
    keeper: mpsc::Sender<Command>,
}

impl Leaver {
    /// One that has nothing to do yet, and where it hears demands.
    pub(crate) fn new(keeper: mpsc::Sender<Command>) -> (Self, mpsc::Sender<Departure>) {
        let (sender, demands) = mpsc::channel(DEMANDS);
        (Self { demands, keeper }, sender)
    }

    /// Waits for the first demand, or until the cluster has been idle for long enough, and sees to it that the jobs
    /// end; gives the reason.
    pub(crate) async fn run(mut self, idle: idle::Watch) -> Farewell {
        let (departure, autostop) = tokio::select! {
            policy = idle.run() => (Departure::Idle, Some(policy)),
            demand = self.demands.recv() => (demand.unwrap_or(Departure::Stopped), None),
        };
        report(reason(departure, autostop.as_ref()).as_str());
        // The keeper is gone only when everything has ended already.
        let _ = self.keeper.send(Command::Close).await;
        let _ = self.keeper.send(Command::Leave(departure)).await;
        let left = match departure {
            Departure::Down => Left::Down,
            Departure::Stop => Left::Stop,
            Departure::Idle => Left::Idle,
            Departure::Stopped => Left::Preemption,
        };
        Farewell { left, autostop }
    }
}

fn reason(departure: Departure, autostop: Option<&Autostop>) -> String {
    match (departure, autostop) {
        (Departure::Idle, Some(policy)) => {
            format!("autostop: the time of {} is over", policy.time())
        }
        (Departure::Stop, _) => "the cluster is being stopped".to_owned(),
        (Departure::Stopped, _) => "the container was told to stop".to_owned(),
        (Departure::Down | Departure::Idle, _) => "the cluster is being taken down".to_owned(),
    }
}

/// Leaves the reason where the kubelet finds it; outside of a container there is no such place.
pub(crate) fn say(farewell: &Farewell) {
    let place = File::options()
        .write(true)
        .truncate(true)
        .open(paths::TERMINATION_MESSAGE);
    let said = place.and_then(|mut place| place.write_all(farewell.to_line().as_bytes()));
    if let Err(error) = said
        && error.kind() != io::ErrorKind::NotFound
    {
        report(&format!("cannot say why the agent leaves: {error}"));
    }
}
