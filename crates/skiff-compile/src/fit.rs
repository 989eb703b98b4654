//! Whether a node can hold a pod, and what to ask for where it can only just not.

use std::fmt::Write as _;

use crate::quantity::{cpus_text, gigabytes_text};
use crate::{Amounts, CompileError, Input, NodeFacts, docker};

/// Per cent of a node's CPU that stay for the system's own pods when a task asks for all of it.
const CPU_LEFT: u64 = 10;
/// Per cent of a node's memory that stay for them.
const MEMORY_LEFT: u64 = 5;
/// Memory is cut down to whole megabytes.
const MEGABYTE: u64 = 1_000_000;

/// What the pods ask for.
pub(crate) struct Fit {
    pub(crate) amounts: Amounts,
    pub(crate) notes: Vec<String>,
}

/// Finds what the pods may ask for. A request of all that a node has, or of more than it may give
/// to pods, means the whole node: it is cut to what should be free beside the system's own pods.
pub(crate) fn fit(input: &Input<'_>) -> Result<Fit, CompileError> {
    let asked = Amounts {
        milli_cpu: input.resources.milli_cpu,
        bytes: input.resources.memory_bytes,
    };
    let beside = docker::requested(input);
    let as_asked = || Fit {
        amounts: asked,
        notes: Vec::new(),
    };
    let Some(nodes) = input
        .facts
        .nodes
        .as_deref()
        .filter(|nodes| !nodes.is_empty())
    else {
        return Ok(as_asked());
    };
    let architectures = &input.agent.architectures;
    let mut eligible: Vec<&NodeFacts> = nodes
        .iter()
        .filter(|node| node.is_eligible(architectures))
        .collect();
    if eligible.is_empty() {
        let architectures = architectures.join(", ");
        return Err(CompileError::NoEligibleNode {
            architectures,
            table: table(nodes.iter()),
        });
    }
    let allowed = input.allowed_nodes();
    if let Some(allowed) = allowed
        && !eligible.iter().any(|node| node.is_allowed(Some(allowed)))
    {
        // An autoscaler may bring a node with such a label, and none with such a name.
        return if allowed.label_selector.is_empty() {
            Err(CompileError::NoAllowedNode {
                table: table(eligible.into_iter()),
            })
        } else {
            Ok(as_asked())
        };
    }
    eligible.retain(|node| node.is_allowed(allowed));
    if eligible
        .iter()
        .any(|node| cut(asked, beside, node) == Some(asked))
    {
        return Ok(as_asked());
    }
    let best = eligible
        .iter()
        .filter_map(|node| Some((cut(asked, beside, node)?, *node)))
        .max_by_key(|(amounts, _)| (amounts.milli_cpu, amounts.bytes));
    let Some((amounts, node)) = best else {
        return Err(CompileError::TooLarge {
            cpus: cpus_text(asked.milli_cpu),
            memory: gigabytes_text(asked.bytes),
            beside: beside_text(beside),
            table: table(eligible.into_iter()),
        });
    };
    Ok(Fit {
        amounts,
        notes: vec![note(asked, amounts, node)],
    })
}

/// What a node can give of what was asked, a sidecar beside it; None where it never has that much.
fn cut(asked: Amounts, beside: Amounts, node: &NodeFacts) -> Option<Amounts> {
    let (capacity, allocatable) = (node.capacity, node.allocatable);
    let cpu = part(
        (asked.milli_cpu, beside.milli_cpu),
        allocatable.milli_cpu,
        capacity.milli_cpu,
        CPU_LEFT,
    )?;
    let bytes = part(
        (asked.bytes, beside.bytes),
        allocatable.bytes,
        capacity.bytes,
        MEMORY_LEFT,
    )?;
    let is_whole = bytes == asked.bytes;
    Some(Amounts {
        milli_cpu: cpu,
        bytes: if is_whole {
            bytes
        } else {
            bytes / MEGABYTE * MEGABYTE
        },
    })
}

fn part(
    (asked, beside): (u64, u64),
    allocatable: u64,
    capacity: u64,
    per_cent_left: u64,
) -> Option<u64> {
    if asked > capacity {
        return None;
    }
    if asked <= allocatable && asked < capacity {
        let together = asked.saturating_add(beside);
        return (together <= allocatable).then_some(asked);
    }
    let left = capacity / 100 * per_cent_left + capacity % 100 * per_cent_left / 100;
    let part = allocatable.checked_sub(left)?.checked_sub(beside)?;
    (part > 0).then_some(part)
}

/// What the sidecar asks for, as the end of a sentence.
fn beside_text(beside: Amounts) -> String {
    let mut parts = Vec::new();
    if beside.milli_cpu > 0 {
        parts.push(format!("{} CPUs", cpus_text(beside.milli_cpu)));
    }
    if beside.bytes > 0 {
        parts.push(format!("{} GB", gigabytes_text(beside.bytes)));
    }
    if parts.is_empty() {
        return String::new();
    }
    format!(", with {} for Docker beside them", parts.join(" and "))
}

fn note(asked: Amounts, given: Amounts, node: &NodeFacts) -> String {
    let mut changes = Vec::new();
    if given.milli_cpu < asked.milli_cpu {
        let (asked, given) = (cpus_text(asked.milli_cpu), cpus_text(given.milli_cpu));
        changes.push(format!("{given} of {asked} CPUs"));
    }
    if given.bytes < asked.bytes {
        let (asked, given) = (gigabytes_text(asked.bytes), gigabytes_text(given.bytes));
        changes.push(format!("{given} of {asked} GB of memory"));
    }
    let changes = changes.join(" and ");
    format!(
        "the task asks for the whole of node `{}`: the pod requests {changes}",
        node.name
    )
}

/// One line a node, columns aligned.
fn table<'a>(nodes: impl Iterator<Item = &'a NodeFacts>) -> String {
    let header = ["NODE", "PLATFORM", "CPUS FOR PODS", "GB FOR PODS", "STATE"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(header).chain(nodes.map(row)).collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row: &[String; 5]| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            write!(line, "  {cell:width$}").expect("writing to a String does not fail");
        }
        text.push('\n');
        text.push_str(line.trim_end());
    }
    text
}

fn row(node: &NodeFacts) -> [String; 5] {
    let state = match (node.ready, node.schedulable) {
        (true, true) => "Ready",
        (true, false) => "Ready, cordoned",
        (false, true) => "NotReady",
        (false, false) => "NotReady, cordoned",
    };
    let (free, whole) = (node.allocatable, node.capacity);
    [
        node.name.clone(),
        format!("{}/{}", node.os, node.architecture),
        format!(
            "{} of {}",
            cpus_text(free.milli_cpu),
            cpus_text(whole.milli_cpu)
        ),
        format!(
            "{} of {}",
            gigabytes_text(free.bytes),
            gigabytes_text(whole.bytes)
        ),
        state.to_owned(),
    ]
}
