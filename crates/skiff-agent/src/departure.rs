//! The agent's way out: the first demand to go counts; then the queue closes, hooks run on all nodes while jobs go on,
//! jobs end, and the container says why it leaves.

use std::fs::File;
use std::io::{self, Write};
use std::time::Duration;

use skiff_proto::{Autostop, Ending, Farewell, HookEvent, Left, Request, paths};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::hooks::HookRunner;
use crate::idle;
use crate::keeper::Command;
use crate::layout::Layout;
use crate::nodes::Nodes;
use crate::owner::ApiServer;
use crate::queue::Departure;
use crate::{report, with_causes};

/// Demands on their way; their senders wait where nobody has heard them yet.
const DEMANDS: usize = 4;
/// How long a worker has to answer, beyond what it is asked to wait for.
const ANSWER: Duration = Duration::from_secs(15);
/// How long an idle cluster waits for a worker whose link is down: nobody else would tell it.
const REJOIN: Duration = Duration::from_secs(10);

/// Brings the agent to its end.
pub(crate) struct Leaver {
    demands: mpsc::Receiver<Departure>,
    keeper: mpsc::Sender<Command>,
    hooks: HookRunner,
    nodes: Nodes,
    leaving: watch::Sender<Option<String>>,
}

impl Leaver {
    /// One that has nothing to do yet, and where it hears demands.
    pub(crate) fn new(
        keeper: mpsc::Sender<Command>,
        hooks: HookRunner,
        nodes: Nodes,
    ) -> (Self, mpsc::Sender<Departure>) {
        let (sender, demands) = mpsc::channel(DEMANDS);
        let leaver = Self {
            demands,
            keeper,
            hooks,
            nodes,
            leaving: watch::Sender::default(),
        };
        (leaver, sender)
    }

    /// Why the agent leaves, once it has begun to.
    pub(crate) fn leaving(&self) -> watch::Receiver<Option<String>> {
        self.leaving.subscribe()
    }

    /// Waits for the first demand, or until the cluster has been idle for long enough, and sees to it that the jobs
    /// end; gives the reason.
    pub(crate) async fn run(mut self, idle: idle::Watch) -> Farewell {
        let (departure, autostop) = tokio::select! {
            policy = idle.run(self.nodes.clone()) => (Departure::Idle, Some(policy)),
            demand = self.demands.recv() => (demand.unwrap_or(Departure::Stopped), None),
        };
        let reason = reason(departure, autostop.as_ref());
        report(&reason);
        self.leaving.send_replace(Some(reason));
        let left = match departure {
            Departure::Down => Left::Down,
            Departure::Stop => Left::Stop,
            Departure::Idle => Left::Idle,
            Departure::Stopped => Left::Preemption,
        };
        let farewell = Farewell { left, autostop };
        // The keeper is gone only when everything has ended already.
        let _ = self.keeper.send(Command::Close).await;
        self.run_hooks(&farewell).await;
        let _ = self.keeper.send(Command::Leave(departure)).await;
        farewell
    }

    /// Runs hooks here and, where the whole cluster goes, on the other nodes at the same time.
    async fn run_hooks(&mut self, farewell: &Farewell) {
        let event = event(farewell);
        let own = self.hooks.clone();
        let mut running = JoinSet::new();
        running.spawn(async move { own.run(event).await });
        if event != HookEvent::Preemption {
            let limit = Duration::from_secs(self.hooks.all().limit_s(event)) + ANSWER;
            let request = Request::RunHooks { event };
            ask_workers(&self.nodes, farewell, &request, limit, &mut running);
        }
        loop {
            tokio::select! {
                ended = running.join_next() => if ended.is_none() { return },
                Some(demand) = self.demands.recv() => if demand == Departure::Stopped {
                    self.hooks.hurry();
                },
            }
        }
    }
}

/// Tells the workers to go as the head does, and waits until they have.
pub(crate) async fn dismiss_workers(nodes: &Nodes, farewell: &Farewell) {
    let ending = match event(farewell) {
        HookEvent::Down => Ending::Down,
        HookEvent::Stop => Ending::Stop,
        HookEvent::Preemption => return,
    };
    let mut leaving = JoinSet::new();
    let request = Request::Shutdown { ending };
    ask_workers(nodes, farewell, &request, ANSWER, &mut leaving);
    while leaving.join_next().await.is_some() {}
}

fn ask_workers(
    nodes: &Nodes,
    farewell: &Farewell,
    request: &Request,
    limit: Duration,
    asked: &mut JoinSet<()>,
) {
    let patience = match farewell.left {
        Left::Idle => REJOIN,
        // Who said so tells the workers too.
        Left::Down | Left::Stop | Left::Preemption => Duration::ZERO,
    };
    for rank in (0..nodes.count()).filter(|rank| *rank != nodes.rank()) {
        let (nodes, request) = (nodes.clone(), request.clone());
        asked.spawn(async move {
            let Some(session) = nodes.session_within(rank, patience).await else {
                return;
            };
            let name = Nodes::name(rank);
            match timeout(limit, session.ask(request)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    report(&format!("node {name} did not do as it was told: {error}"));
                }
                Err(_) => report(&format!("node {name} did not answer in time")),
            }
        });
    }
}

/// Which hooks run before.
fn event(farewell: &Farewell) -> HookEvent {
    match farewell.left {
        Left::Preemption => HookEvent::Preemption,
        Left::Down => HookEvent::Down,
        Left::Idle if farewell.autostop.is_some_and(|policy| policy.down) => HookEvent::Down,
        Left::Stop | Left::Idle => HookEvent::Stop,
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

/// Has the whole cluster go, where it took itself down and somebody gave this agent the right: else the next command of
/// its user removes what is left.
pub(crate) async fn vanish(layout: &Layout, server: ApiServer, farewell: &Farewell) {
    let is_down = farewell.autostop.is_some_and(|policy| policy.down);
    if farewell.left != Left::Idle || !is_down {
        return;
    }
    let Some(access) = idle::owner(layout) else {
        return;
    };
    match server.delete(access).await {
        Ok(()) => report("the cluster's owner is deleted: Kubernetes removes the rest"),
        Err(error) => report(&format!(
            "what is left of the cluster stays until its user's next command: {}",
            with_causes(&error)
        )),
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
