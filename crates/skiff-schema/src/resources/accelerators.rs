//! Accelerators by name or by memory: `A100`, `A100:8`, `80GB+`, `nvidia:40GB+:2`. Must not know
//! which devices there are: that is the cluster's to say.

use crate::Accelerators;
use crate::faults::Fault;
use crate::grammar::{Notation, Problem, ScalarKind};
use crate::path::Path;
use crate::quantity::thousandths;
use crate::resources::infra::{Infra, Place};
use crate::yaml::{Entry, Node, Value};

/// More than any node has; keeps products within `u64`.
const MAX_MILLI_COUNT: u64 = 1_000_000_000;

const HELP: &str = "write `A100`, `A100:8`, or by memory `80GB`, `40GB+:2`, `nvidia:40GB+:2`";

/// How accelerators are written as a scalar, and as a key of a mapping.
pub(super) static ACCELERATOR: Notation = Notation {
    what: "accelerators as `<name>` or `<name>:<count>`",
    kinds: &[ScalarKind::Text],
    pattern: r"^[^\s:,]+( *:[^\s:,]+){0,2}( *: *[0-9.]+)?$",
    check: |text| parse(text).map(drop),
};

/// How many of them, as a value of a mapping.
pub(super) static COUNT: Notation = Notation {
    what: "a number of accelerators",
    kinds: &[ScalarKind::Integer, ScalarKind::Float],
    pattern: "",
    check: |text| count(text, text).map(drop),
};

/// Accelerators of which one set is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AcceleratorChoice {
    /// What will do.
    pub(super) sets: Vec<Accelerators>,
    /// Whether the first that can be had is taken.
    pub(super) is_ordered: bool,
}

impl AcceleratorChoice {
    /// Reads a scalar, a list or a mapping that was checked.
    pub(super) fn read(node: &Node, path: &Path<'_>, faults: &mut Vec<Fault>) -> Option<Self> {
        let mut choice = Self::default();
        match &node.value {
            Value::Sequence(items) => {
                choice.is_ordered = true;
                for item in items {
                    if let Value::String(text) = &item.value {
                        choice.add(parse(text).ok());
                    }
                }
            }
            Value::Mapping(entries) => {
                for entry in entries {
                    choice.add(of_entry(entry, path, faults));
                }
            }
            other => choice.add(parse(&other.to_python_string()).ok()),
        }
        let is_empty = match &node.value {
            Value::Sequence(items) => items.is_empty(),
            Value::Mapping(entries) => entries.is_empty(),
            _ => false,
        };
        if is_empty {
            let message = format!("`{path}` names no accelerator");
            faults.push(Fault::new(message).at(node.span, "").help(HELP));
        }
        (!choice.sets.is_empty()).then_some(choice)
    }

    /// The sets of one flag.
    pub(super) fn of_flag(text: &str) -> Result<Self, Problem> {
        Ok(Self {
            sets: vec![parse(text)?],
            is_ordered: false,
        })
    }

    fn add(&mut self, accelerators: Option<Accelerators>) {
        self.sets
            .extend(accelerators.filter(|new| !self.sets.contains(new)));
    }
}

/// `A100: 8`, and `A100:8` with nothing after it, as in a set.
fn of_entry(entry: &Entry, path: &Path<'_>, faults: &mut Vec<Fault>) -> Option<Accelerators> {
    let key = entry.key.value.to_python_string();
    let alone = parse(&key).ok()?;
    let number = match &entry.value.value {
        Value::Null => return Some(alone),
        number => number.to_python_string(),
    };
    count(&number, &number).ok()?;
    match parse(&format!("{key}:{number}")) {
        Ok(accelerators) => Some(accelerators),
        Err(problem) => {
            let path = path.key(&key);
            faults.push(problem.of(path).at(entry.value.span, ""));
            None
        }
    }
}

/// Accelerators as a user names them.
pub(super) fn parse(text: &str) -> Result<Accelerators, Problem> {
    let wrong = |why: &str| Problem::new(format!("`{text}` {why}"), HELP);
    let parts: Vec<&str> = text.split(':').map(str::trim).collect();
    let (name, number) = match *parts.as_slice() {
        [memory] if is_memory(memory) => (memory.to_uppercase(), None),
        [name] => (name.to_owned(), None),
        [maker, memory] if is_memory(memory) => (by_memory(maker, memory), None),
        [memory, number] if is_memory(memory) => (memory.to_uppercase(), Some(number)),
        [name, number] => (name.to_owned(), Some(number)),
        [maker, memory, number] if is_memory(memory) => (by_memory(maker, memory), Some(number)),
        _ => return Err(wrong("is no accelerator")),
    };
    let is_odd = |char: char| char.is_whitespace() || char.is_control();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(wrong("is incomplete"));
    }
    if name.contains(',') {
        let help = "write several as a list, of which the first that can be had is taken, or as a mapping, of which any will do";
        return Err(Problem::new(
            format!("`{text}` is more than one accelerator"),
            help,
        ));
    }
    if name.contains('$') {
        let help = "variables are not replaced in `resources`: name it, or give it by `--gpus`";
        return Err(Problem::new(format!("`{text}` is no accelerator"), help));
    }
    if name.contains(is_odd) {
        return Err(wrong("is no accelerator"));
    }
    let milli_count = number.map_or(Ok(1000), |number| count(number, text))?;
    let is_by_memory = parts.iter().take(2).any(|part| is_memory(part));
    if is_by_memory && !milli_count.is_multiple_of(1000) {
        return Err(wrong("asks by memory for a part of an accelerator"));
    }
    Ok(Accelerators { name, milli_count })
}

/// `nvidia:40GB+`
fn by_memory(maker: &str, memory: &str) -> String {
    format!("{maker}:{}", memory.to_uppercase())
}

/// Where accelerators can only be: TPUs are Google's, those of its virtual machines end with their
/// size, and the others are Kubernetes'.
pub(super) fn home(accelerators: &Accelerators) -> Place {
    let name = accelerators.name.to_lowercase();
    let Some(tpu) = name.strip_prefix("tpu-") else {
        return Place::Anywhere;
    };
    let (_, size) = tpu.rsplit_once('-').unwrap_or((tpu, ""));
    if !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit()) {
        Place::Elsewhere("gcp".to_owned())
    } else {
        Place::Here(Infra::Kubernetes { context: None })
    }
}

/// What a user of a TPU with a virtual machine needs to know.
pub(super) fn not_here() -> Problem {
    let help = "name it as Kubernetes does: tpu-v5-lite-podslice, tpu-v6e-slice";
    Problem::new("TPUs with virtual machines are not on Kubernetes", help)
}

/// How many of them, in thousandths.
fn count(number: &str, text: &str) -> Result<u64, Problem> {
    let wrong = |why: &str| Problem::new(format!("`{text}` {why}"), "write how many: 1, 8 or 0.5");
    if number.starts_with('-') {
        return Err(wrong("must be more than 0 accelerators"));
    }
    match thousandths(number) {
        Some(0) => Err(wrong("must be more than 0 accelerators")),
        Some(count) if count > MAX_MILLI_COUNT => {
            Err(wrong("is more accelerators than any node has"))
        }
        Some(count) => Ok(count),
        None => Err(wrong(
            "needs a number of accelerators, thousandths at the finest",
        )),
    }
}

/// `80GB`, `40GB+`
fn is_memory(text: &str) -> bool {
    let number = text.strip_suffix('+').unwrap_or(text).to_ascii_lowercase();
    ["gb", "mb", "tb"]
        .iter()
        .find_map(|unit| number.strip_suffix(unit))
        .is_some_and(|digits| {
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
}
