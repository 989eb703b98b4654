//! When a cluster takes itself down: `true`, `10`, `"2h"`, or a mapping.

use crate::Autostop;
use crate::grammar::{Field, Form, Notation, Problem, Record, ScalarKind};
use crate::view::View;
use crate::yaml::{Node, Value};

/// Fewer minutes than this would end a cluster before its first job.
const SHORTEST: u64 = 1;

/// What may count as work.
const WAIT_FOR: [&str; 3] = ["jobs_and_ssh", "jobs", "none"];

/// How the minutes without work are written.
pub(super) static IDLE: Notation = Notation {
    what: "minutes",
    kinds: &[ScalarKind::Integer, ScalarKind::Text],
    pattern: "^[0-9]+[mhdwMHDW]?$",
    check: |text| minutes(text).map(drop),
};

/// `autostop` as a mapping.
pub(super) static AUTOSTOP: Record = Record {
    name: "autostop",
    fields: &[
        Field::new(
            "idle_minutes",
            Form::at_least(0),
            "Minutes without work; 0 counts as 1",
        )
        .default("0")
        .example("idle_minutes: 10"),
        Field::new(
            "down",
            Form::Bool,
            "Whether the cluster is taken down; else it is stopped, for which it needs a home volume",
        )
        .default("false")
        .example("down: true"),
        Field::new(
            "wait_for",
            Form::Word(&WAIT_FOR),
            "What counts as work: jobs and SSH sessions, jobs, or nothing",
        )
        .default("jobs_and_ssh")
        .example("wait_for: jobs"),
        Field::new("hook", Form::Text, "A command before the end: deprecated")
            .example("hook: ./save.sh")
            .ignored("deprecated: write it under `config.hooks` of the task"),
        Field::new(
            "hook_timeout",
            Form::at_least(1),
            "Seconds that `hook` may take: deprecated",
        )
        .example("hook_timeout: 60")
        .ignored("deprecated: write it under `config.hooks` of the task"),
    ],
};

/// What a level says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AutostopSetting {
    /// Never.
    Off,
    /// After so long.
    After(Autostop),
}

impl AutostopSetting {
    /// Reads a value that was checked.
    pub(super) fn read(node: &Node) -> Option<Self> {
        Some(match &node.value {
            Value::Bool(false) => Self::Off,
            Value::Bool(true) => Self::After(after(0)),
            Value::Mapping(_) => Self::After(of_fields(View::of(node))),
            other => Self::After(after(minutes(&other.to_python_string()).ok()?)),
        })
    }

    /// What it says, if it is on.
    pub(super) fn get(&self) -> Option<&Autostop> {
        match self {
            Self::Off => None,
            Self::After(autostop) => Some(autostop),
        }
    }
}

fn after(idle_minutes: u64) -> Autostop {
    Autostop {
        idle_minutes: idle_minutes.max(SHORTEST),
        down: false,
        wait_for: WAIT_FOR[0].to_owned(),
    }
}

fn of_fields(fields: View<'_>) -> Autostop {
    let idle = fields.integer("idle_minutes").unwrap_or(0);
    let wait_for = fields.text("wait_for").unwrap_or(WAIT_FOR[0]);
    Autostop {
        down: fields.boolean("down").unwrap_or(false),
        wait_for: wait_for.to_lowercase(),
        ..after(u64::try_from(idle).unwrap_or(0))
    }
}

/// Minutes, or a number with a unit.
fn minutes(text: &str) -> Result<u64, Problem> {
    let help = "write minutes such as 10, or a number of m, h, d or w: \"2h\"";
    let wrong = || Problem::new(format!("`{text}` is no time"), help);
    let (number, unit) = match text.char_indices().last() {
        Some((at, 'm' | 'M')) => (&text[..at], 1),
        Some((at, 'h' | 'H')) => (&text[..at], 60),
        Some((at, 'd' | 'D')) => (&text[..at], 24 * 60),
        Some((at, 'w' | 'W')) => (&text[..at], 7 * 24 * 60),
        _ => (text, 1),
    };
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let minutes = number.parse::<u64>().ok();
    let minutes = minutes.and_then(|number| number.checked_mul(unit));
    minutes.ok_or_else(wrong)
}
