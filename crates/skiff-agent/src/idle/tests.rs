//! Idleness, one behaviour a test.

use skiff_proto::{Autostop, WaitFor};

use super::{Effect, Event, Idle, Load, Share, step};

const IDLE_MS: u64 = 1000;

struct Run {
    idle: Idle,
    load: Load,
}

impl Run {
    fn new(wait_for: WaitFor) -> Self {
        Self {
            idle: Idle::new(Some(policy(wait_for)), 0),
            load: Load::default(),
        }
    }

    fn event(&mut self, now: u64, event: Event) -> Option<Effect> {
        let (idle, effect) = step(self.idle, now, event);
        self.idle = idle;
        effect
    }

    fn time(&mut self, now: u64) -> Option<Effect> {
        self.event(now, Event::Time)
    }

    /// So many of one kind are open now.
    fn open(
        &mut self,
        now: u64,
        of: impl Fn(&mut Load) -> &mut Share,
        open: usize,
    ) -> Option<Effect> {
        let share = of(&mut self.load);
        *share = Share {
            open,
            changes: share.changes + 1,
        };
        self.event(now, Event::Load(self.load))
    }

    fn jobs(&mut self, now: u64, open: usize) -> Option<Effect> {
        self.open(now, |load| &mut load.jobs, open)
    }

    fn sessions(&mut self, now: u64, open: usize) -> Option<Effect> {
        self.open(now, |load| &mut load.sessions, open)
    }

    fn requests(&mut self, now: u64, open: usize) -> Option<Effect> {
        self.open(now, |load| &mut load.requests, open)
    }

    /// No other node has SSH sessions, nor had any.
    fn quiet(&mut self, now: u64) -> Option<Effect> {
        self.elsewhere(now, 0, None)
    }

    fn elsewhere(&mut self, now: u64, sessions: u64, quiet_ms: Option<u64>) -> Option<Effect> {
        self.event(now, Event::Elsewhere { sessions, quiet_ms })
    }
}

fn policy(wait_for: WaitFor) -> Autostop {
    Autostop {
        idle_ms: IDLE_MS,
        down: true,
        wait_for,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "compared with what `step` gives")]
fn wake(at: u64) -> Option<Effect> {
    Some(Effect::WakeAt(at))
}

#[expect(clippy::unnecessary_wraps, reason = "compared with what `step` gives")]
fn leave(wait_for: WaitFor) -> Option<Effect> {
    Some(Effect::Leave(policy(wait_for)))
}

#[test]
fn without_a_policy_nothing_ever_happens() {
    let (idle, effect) = step(Idle::new(None, 0), u64::MAX, Event::Time);
    assert_eq!(effect, None);
    let (_, effect) = step(idle, u64::MAX, Event::Load(Load::default()));
    assert_eq!(effect, None);
}

#[test]
fn an_idle_cluster_leaves_when_the_time_is_up_and_not_before() {
    let mut run = Run::new(WaitFor::Jobs);
    assert_eq!(run.time(0), wake(1000));
    assert_eq!(run.time(999), wake(1000));
    assert_eq!(run.time(1000), leave(WaitFor::Jobs));
    assert_eq!(run.time(1001), None, "it leaves once");
}

#[test]
fn the_time_counts_from_the_last_jobs_end() {
    let mut run = Run::new(WaitFor::Jobs);
    assert_eq!(run.jobs(10, 2), None);
    assert_eq!(run.time(5000), None);
    assert_eq!(run.jobs(6000, 1), None);
    assert_eq!(run.jobs(7000, 0), wake(8000));
    assert_eq!(run.time(8000), leave(WaitFor::Jobs));
}

#[test]
fn a_job_that_came_and_went_between_two_looks_counts() {
    let mut run = Run::new(WaitFor::Jobs);
    run.load.jobs.changes = 7;
    assert_eq!(run.jobs(900, 0), wake(1900));
}

#[test]
fn an_upload_keeps_a_cluster_until_its_end() {
    let mut run = Run::new(WaitFor::JobsAndSsh);
    assert_eq!(run.requests(10, 1), None);
    assert_eq!(run.time(5000), None);
    assert_eq!(run.requests(6000, 0), wake(7000));
}

#[test]
fn sessions_count_only_where_they_are_waited_for() {
    let mut run = Run::new(WaitFor::JobsAndSsh);
    assert_eq!(run.sessions(10, 1), None);
    assert_eq!(run.sessions(5000, 0), wake(6000));
    let mut run = Run::new(WaitFor::Jobs);
    assert_eq!(run.sessions(10, 1), wake(1000));
    assert_eq!(run.time(1000), leave(WaitFor::Jobs));
}

#[test]
fn nothing_holds_up_a_limit() {
    let mut run = Run::new(WaitFor::None);
    assert_eq!(run.jobs(10, 1), wake(1000));
    assert_eq!(run.sessions(20, 1), wake(1000));
    assert_eq!(run.requests(30, 1), wake(1000));
    assert_eq!(run.time(1000), leave(WaitFor::None));
}

#[test]
fn a_new_policy_counts_from_its_own_time_and_none_counts_nothing() {
    let mut run = Run::new(WaitFor::Jobs);
    assert_eq!(
        run.event(900, Event::Set(Some(policy(WaitFor::None)))),
        wake(1900)
    );
    assert_eq!(run.event(1800, Event::Set(None)), None);
    assert_eq!(run.time(90_000), None);
}

#[test]
fn other_nodes_are_asked_before_the_end() {
    let mut run = Run::new(WaitFor::JobsAndSsh);
    assert_eq!(run.time(1000), Some(Effect::AskElsewhere));
    assert_eq!(run.time(1100), None, "they are asked once at a time");
    assert_eq!(run.elsewhere(1200, 1, None), wake(2200));
    assert_eq!(run.time(2200), Some(Effect::AskElsewhere));
    assert_eq!(run.elsewhere(2300, 0, Some(400)), wake(2900));
    assert_eq!(run.time(2900), Some(Effect::AskElsewhere));
    assert_eq!(run.quiet(2900), leave(WaitFor::JobsAndSsh));
}

#[test]
fn a_job_that_begins_while_others_are_asked_keeps_the_cluster() {
    let mut run = Run::new(WaitFor::JobsAndSsh);
    assert_eq!(run.time(1000), Some(Effect::AskElsewhere));
    assert_eq!(run.jobs(1100, 1), None);
    assert_eq!(run.quiet(1200), None);
    assert_eq!(run.jobs(1300, 0), wake(2300));
}
