//! The owner of the policy: feeds [`step`] with what happens, and does what it says.

use std::io;
use std::time::Duration;

use skiff_proto::{Autostop, Request, Response};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::idle::{Activity, Effect, Event, Idle, Kept, kept, step};
use crate::layout::Layout;
use crate::nodes::Nodes;

/// A user's word on the policy, and where to tell that it is kept.
pub(crate) type Order = (Kept, oneshot::Sender<io::Result<()>>);

/// Policies on their way to the watch; their senders wait where it is behind.
const ORDERS: usize = 4;
/// How long another node has to say what goes on there.
const ANSWER: Duration = Duration::from_secs(5);

/// Watches how idle the cluster is.
pub(crate) struct Watch {
    layout: Layout,
    activity: Activity,
    orders: mpsc::Receiver<Order>,
    idle: Idle,
    /// The clock's beginning, so far back that what has passed before the agent's start has a place on it.
    began: Instant,
    wake: Option<Instant>,
}

impl Watch {
    /// A watch by the kept policy, and where it takes orders.
    pub(crate) fn new(layout: Layout, activity: Activity) -> (Self, mpsc::Sender<Order>) {
        let (sender, orders) = mpsc::channel(ORDERS);
        let (policy, passed) = kept::load(&layout);
        let now = Instant::now();
        let began = now
            .checked_sub(Duration::from_millis(passed))
            .unwrap_or(now);
        let watch = Self {
            layout,
            activity,
            orders,
            idle: Idle::new(policy, 0),
            began,
            wake: None,
        };
        (watch, sender)
    }

    /// Runs until the cluster has been idle for long enough; gives the policy that says so.
    pub(crate) async fn run(mut self, nodes: Nodes) -> Autostop {
        let mut told = self.activity.subscribe();
        let mut event = Event::Load(told.borrow_and_update().load);
        loop {
            let (idle, effect) = step(self.idle, self.now(), event);
            self.idle = idle;
            self.wake = None;
            match effect {
                Some(Effect::Leave(policy)) => return policy,
                Some(Effect::WakeAt(ms)) => {
                    self.wake = self.began.checked_add(Duration::from_millis(ms));
                }
                Some(Effect::AskElsewhere) => {
                    event = elsewhere(&nodes).await;
                    continue;
                }
                None => {}
            }
            let wake = self.wake;
            event = tokio::select! {
                Some((policy, kept)) = self.orders.recv() => self.obey(policy, kept),
                Ok(()) = told.changed() => Event::Load(told.borrow_and_update().load),
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => Event::Time,
            };
        }
    }

    /// Takes a policy in once it is on disk: one that would not survive a restart is refused.
    fn obey(&self, policy: Kept, kept: oneshot::Sender<io::Result<()>>) -> Event {
        let autostop = policy.autostop;
        let result = kept::save(&self.layout, policy);
        let event = match result {
            Ok(()) => Event::Set(autostop),
            Err(_) => Event::Time,
        };
        // A client that has gone meanwhile asks again.
        let _ = kept.send(result);
        event
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What goes on at the other nodes; one that does not answer keeps nobody.
async fn elsewhere(nodes: &Nodes) -> Event {
    let (mut open, mut quietest) = (0_u64, None);
    let others = (0..nodes.count()).filter(|rank| *rank != nodes.rank());
    for session in others.filter_map(|rank| nodes.session(rank)) {
        let answer = timeout(ANSWER, session.ask(Request::Activity)).await;
        if let Ok(Ok(Response::Activity { sessions, quiet_ms })) = answer {
            open = open.saturating_add(sessions);
            quietest = match (quietest, quiet_ms) {
                (Some(one), Some(other)) => Some(u64::min(one, other)),
                (one, other) => one.or(other),
            };
        }
    }
    Event::Elsewhere {
        sessions: open,
        quiet_ms: quietest,
    }
}
