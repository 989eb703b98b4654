//! How a cluster comes to its end: by whom, after how much idleness, and what runs before it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::SecretVariables;

const SECOND_MS: u64 = 1000;
const MINUTE_MS: u64 = 60 * SECOND_MS;

/// When a cluster ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Autostop {
    /// Milliseconds without work.
    pub idle_ms: u64,
    /// Whether the cluster is taken down; otherwise it is stopped.
    pub down: bool,
    /// What counts as work.
    #[serde(default)]
    pub wait_for: WaitFor,
}

/// What counts as work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitFor {
    /// Jobs that have not ended, and SSH sessions.
    #[default]
    JobsAndSsh,
    /// Jobs that have not ended.
    Jobs,
    /// Nothing: the time is a limit.
    None,
}

impl Autostop {
    /// So many minutes without work.
    pub const fn after_minutes(minutes: u64, down: bool, wait_for: WaitFor) -> Self {
        Self {
            idle_ms: minutes.saturating_mul(MINUTE_MS),
            down,
            wait_for,
        }
    }

    /// How long without work, as people read it: `10m`.
    pub fn time(&self) -> String {
        time(self.idle_ms)
    }
}

/// `10m (down)`, as tables show it.
impl fmt::Display for Autostop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.time())?;
        if self.down {
            f.write_str(" (down)")?;
        }
        Ok(())
    }
}

/// Whole minutes as such, anything else in seconds.
fn time(ms: u64) -> String {
    if ms.is_multiple_of(MINUTE_MS) {
        format!("{}m", ms / MINUTE_MS)
    } else {
        format!("{}s", ms.div_ceil(SECOND_MS))
    }
}

impl WaitFor {
    /// Reads the word of a task or flag.
    pub fn parse(word: &str) -> Option<Self> {
        match word.to_lowercase().as_str() {
            "jobs_and_ssh" => Some(Self::JobsAndSsh),
            "jobs" => Some(Self::Jobs),
            "none" => Some(Self::None),
            _ => None,
        }
    }
}

/// What becomes of a cluster that a user ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It is taken down: nothing is left.
    #[default]
    Down,
    /// It is stopped: its home stays.
    Stop,
}

/// What hooks may run before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookEvent {
    /// The cluster is stopped, by a user or for idleness.
    Stop,
    /// The system takes a pod away.
    Preemption,
    /// The cluster is taken down, by a user or for idleness.
    Down,
}

impl HookEvent {
    /// The word for it in tasks, variables and the names of logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Preemption => "preemption",
            Self::Down => "down",
        }
    }
}

impl From<Ending> for HookEvent {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Down => Self::Down,
            Ending::Stop => Self::Stop,
        }
    }
}

/// A script that runs on every node before the cluster ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Shell text.
    pub run: String,
    /// Before what.
    pub events: Vec<HookEvent>,
    /// Seconds that it may take.
    pub timeout_s: u64,
}

/// All hooks of a cluster with their variables: what lies at [`crate::paths::HOOKS`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hooks {
    /// In the order in which they run.
    pub hooks: Vec<Hook>,
    /// The task's variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Variables that nobody may see; they win over `env`.
    #[serde(default)]
    pub secrets: SecretVariables,
}

impl Hooks {
    /// Seconds for all preemption hooks together: the system does not wait for ever.
    pub const LONGEST_PREEMPTION_S: u64 = 600;

    /// Those that run before an event.
    pub fn before(&self, event: HookEvent) -> impl Iterator<Item = &Hook> {
        self.hooks
            .iter()
            .filter(move |hook| hook.events.contains(&event))
    }

    /// Seconds that all hooks of an event may take together.
    pub fn limit_s(&self, event: HookEvent) -> u64 {
        let sum = self
            .before(event)
            .fold(0_u64, |sum, hook| sum.saturating_add(hook.timeout_s));
        match event {
            HookEvent::Preemption => sum.min(Self::LONGEST_PREEMPTION_S),
            HookEvent::Stop | HookEvent::Down => sum,
        }
    }
}

/// Why an agent has left: one line of JSON, the termination message of its container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Farewell {
    /// What ended it.
    pub left: Left,
    /// What ended it for idleness, where that was it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autostop: Option<Autostop>,
}

/// What ended an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Left {
    /// A user took the cluster down.
    Down,
    /// A user stopped the cluster.
    Stop,
    /// The cluster had been idle for long enough.
    Idle,
    /// The system told the container to stop.
    Preemption,
}

impl Farewell {
    /// The line.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("plain data is always valid JSON")
    }

    /// Reads a container's termination message, which may be anybody's words.
    pub fn parse(message: &str) -> Option<Self> {
        serde_json::from_str(message.trim()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{Autostop, Farewell, Hook, HookEvent, Hooks, Left, WaitFor};

    #[test]
    fn times_are_told_as_tables_show_them() {
        let autostop = Autostop::after_minutes(120, true, WaitFor::Jobs);
        assert_eq!(autostop.to_string(), "120m (down)");
        let short = Autostop {
            idle_ms: 1500,
            down: false,
            ..autostop
        };
        assert_eq!(short.to_string(), "2s");
        assert_eq!(
            Autostop::after_minutes(u64::MAX, true, WaitFor::None).idle_ms,
            u64::MAX
        );
    }

    #[test]
    fn hooks_of_preemption_have_ten_minutes_together() {
        let hook = |events: &[HookEvent]| Hook {
            run: "true".into(),
            events: events.to_vec(),
            timeout_s: 400,
        };
        let hooks = Hooks {
            hooks: vec![
                hook(&[HookEvent::Down, HookEvent::Preemption]),
                hook(&[HookEvent::Preemption]),
            ],
            ..Hooks::default()
        };
        assert_eq!(hooks.limit_s(HookEvent::Preemption), 600);
        assert_eq!(hooks.limit_s(HookEvent::Down), 400);
        assert_eq!(hooks.limit_s(HookEvent::Stop), 0);
    }

    #[test]
    fn a_farewell_survives_its_line_and_other_words_are_none() {
        let farewell = Farewell {
            left: Left::Idle,
            autostop: Some(Autostop::after_minutes(10, true, WaitFor::JobsAndSsh)),
        };
        assert_eq!(Farewell::parse(&farewell.to_line()), Some(farewell));
        assert_eq!(Farewell::parse("panic: out of cheese"), None);
    }
}
