//! When the cluster has been idle for long enough. Pure: must not read clocks or ask anybody; the watch
//! feeds it events and carries out its effects. Times are milliseconds of a clock that only goes forward.

use skiff_proto::{Autostop, WaitFor};

mod activity;
mod kept;
#[cfg(test)]
mod tests;
mod watch;

pub(crate) use activity::{Activity, Busy};
pub(crate) use kept::{Kept, owner};
pub(crate) use watch::{Order, Watch};

/// What goes on at this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Jobs that have not ended.
    pub(crate) jobs: Share,
    /// Requests of clients that change something.
    pub(crate) requests: Share,
    /// SSH sessions.
    pub(crate) sessions: Share,
}

/// One kind of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// How much there is of it now.
    pub(crate) open: usize,
    /// How often it has changed: what began and ended between two looks counts too.
    pub(crate) changes: u64,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// A user said when the cluster ends by itself; the time counts from now.
    Set(Option<Autostop>),
    /// What goes on has changed.
    Load(Load),
    /// The other nodes' answer: SSH sessions there, and milliseconds since the last one ended.
    Elsewhere {
        sessions: u64,
        quiet_ms: Option<u64>,
    },
    /// Time has passed.
    Time,
}

/// What the watch must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Tell the time again at this moment, unless something else happens before.
    WakeAt(u64),
    /// Ask the other nodes for SSH sessions.
    AskElsewhere,
    /// End the cluster.
    Leave(Autostop),
}

/// How long there has been no work.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Idle {
    policy: Option<Autostop>,
    /// The last moment at which there was work.
    since: u64,
    load: Load,
    asking: bool,
    left: bool,
}

impl Idle {
    /// Idle by this policy since this moment.
    pub(crate) fn new(policy: Option<Autostop>, since: u64) -> Self {
        Self {
            policy,
            since,
            ..Self::default()
        }
    }

    fn waits_for(&self, what: WaitFor) -> bool {
        let Some(policy) = self.policy else {
            return false;
        };
        match what {
            WaitFor::JobsAndSsh => policy.wait_for == WaitFor::JobsAndSsh,
            WaitFor::Jobs => policy.wait_for != WaitFor::None,
            WaitFor::None => true,
        }
    }

    /// What of the work counts.
    fn counted(&self, load: &Load) -> [Share; 3] {
        let jobs = self.waits_for(WaitFor::Jobs);
        let ssh = self.waits_for(WaitFor::JobsAndSsh);
        let if_it_counts =
            |counts: bool, share: Share| if counts { share } else { Share::default() };
        [
            if_it_counts(jobs, load.jobs),
            if_it_counts(jobs, load.requests),
            if_it_counts(ssh, load.sessions),
        ]
    }

    fn take(&mut self, now: u64, event: Event) -> bool {
        match event {
            Event::Set(policy) => {
                self.policy = policy;
                self.since = now;
                self.asking = false;
            }
            Event::Load(load) => {
                if self.counted(&self.load) != self.counted(&load) {
                    self.since = now;
                }
                self.load = load;
            }
            Event::Elsewhere { sessions, quiet_ms } => {
                let asked = std::mem::take(&mut self.asking);
                if sessions > 0 {
                    self.since = now;
                } else if let Some(quiet) = quiet_ms {
                    self.since = self.since.max(now.saturating_sub(quiet));
                }
                return asked;
            }
            Event::Time => {}
        }
        false
    }
}

/// How idle the cluster is after an event, and what must be done about it.
pub(crate) fn step(mut idle: Idle, now: u64, event: Event) -> (Idle, Option<Effect>) {
    let knows_elsewhere = idle.take(now, event);
    let Some(policy) = idle.policy.filter(|_| !idle.left) else {
        return (idle, None);
    };
    if idle.counted(&idle.load).iter().any(|share| share.open > 0) {
        return (idle, None);
    }
    let due = idle.since.saturating_add(policy.idle_ms);
    let effect = if now < due {
        Effect::WakeAt(due)
    } else if idle.waits_for(WaitFor::JobsAndSsh) && !knows_elsewhere {
        if std::mem::replace(&mut idle.asking, true) {
            return (idle, None);
        }
        Effect::AskElsewhere
    } else {
        idle.left = true;
        Effect::Leave(policy)
    };
    (idle, Some(effect))
}
