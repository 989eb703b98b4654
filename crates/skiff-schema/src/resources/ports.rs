//! Ports to open: `8080`, `"8000-8010"`, `"8080,9090"`, lists of these.

use crate::PortRange;
use crate::grammar::{Notation, Problem, ScalarKind};
use crate::yaml::{Node, Value};

/// How ports are written as a scalar.
pub(super) static PORTS: Notation = Notation {
    what: "a port or a range of ports",
    kinds: &[ScalarKind::Integer, ScalarKind::Text],
    pattern: r"^[ ,]*([0-9]+(-[0-9]+)?[ ,]*)*$",
    check: |text| parse(text).map(drop),
};

/// Reads a scalar or a list that was checked.
pub(super) fn read(node: &Node) -> Vec<PortRange> {
    let of = |node: &Node| match &node.value {
        Value::Int(_) | Value::String(_) => {
            parse(&node.value.to_python_string()).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    match &node.value {
        Value::Sequence(items) => merged(items.iter().flat_map(of).collect()),
        _ => merged(of(node)),
    }
}

/// Ports and ranges with commas between them.
pub(super) fn parse(text: &str) -> Result<Vec<PortRange>, Problem> {
    let parts = text.split(',').map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(|part| range(part, text))
        .collect()
}

fn range(part: &str, text: &str) -> Result<PortRange, Problem> {
    let help = "write ports from 1 to 65535: 8080, \"8000-8010\"";
    let wrong = || Problem::new(format!("`{text}` is no port and no range of ports"), help);
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let first = port(first).ok_or_else(wrong)?;
    let last = port(last).ok_or_else(wrong)?;
    if first > last {
        let message = format!("`{part}` is a range that ends before it begins");
        return Err(Problem::new(message, format!("write {last}-{first}")));
    }
    Ok(PortRange { first, last })
}

fn port(text: &str) -> Option<u16> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number: u16 = text.parse().ok().filter(|_| is_digits)?;
    (number > 0).then_some(number)
}

/// The same ports in order, each once, neighbours as one range.
pub(super) fn merged(mut ranges: Vec<PortRange>) -> Vec<PortRange> {
    ranges.sort_unstable();
    let mut merged: Vec<PortRange> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(before) if u32::from(range.first) <= u32::from(before.last) + 1 => {
                before.last = before.last.max(range.last);
            }
            _ => merged.push(range),
        }
    }
    merged
}
