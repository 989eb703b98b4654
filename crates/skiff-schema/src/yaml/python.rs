//! How Python writes values: `SkyPilot` gives the task's variables `str()` of what YAML read.

use std::fmt::Write as _;

use super::{Entry, Node, Time, Timestamp, Value};

/// `str(value)`.
pub(super) fn str(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Timestamp(timestamp) => timestamp.to_string(),
        other => {
            let mut text = String::new();
            repr(other, &mut text);
            text
        }
    }
}

fn repr(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Int(integer) => out.push_str(&integer.to_string()),
        Value::Float(float) => out.push_str(&float_repr(*float)),
        Value::Timestamp(timestamp) => out.push_str(&timestamp_repr(timestamp)),
        Value::String(text) => string_repr(text, out),
        Value::Binary(bytes) => bytes_repr(bytes, out),
        Value::Sequence(nodes) => sequence_repr("[", nodes, "]", out),
        Value::Set(nodes) if nodes.is_empty() => out.push_str("set()"),
        Value::Set(nodes) => sequence_repr("{", nodes, "}", out),
        Value::Mapping(entries) => mapping_repr(entries, out),
    }
}

fn sequence_repr(open: &str, nodes: &[Node], close: &str, out: &mut String) {
    out.push_str(open);
    for (index, node) in nodes.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        repr(&node.value, out);
    }
    out.push_str(close);
}

fn mapping_repr(entries: &[Entry], out: &mut String) {
    out.push('{');
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        repr(&entry.key.value, out);
        out.push_str(": ");
        repr(&entry.value.value, out);
    }
    out.push('}');
}

/// The shortest digits that read back, with an exponent below 1e-4 and from 1e16 on.
fn float_repr(float: f64) -> String {
    if float.is_nan() {
        return "nan".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{float:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        format!("{float:?}")
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:02}", exponent.abs())
    }
}

fn string_repr(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for char in text.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            char if char == quote => {
                out.push('\\');
                out.push(char);
            }
            char if is_printable(char) => out.push(char),
            char => push_escape(char, out),
        }
    }
    out.push(quote);
}

fn bytes_repr(bytes: &[u8], out: &mut String) {
    let has_single = bytes.contains(&b'\'') && !bytes.contains(&b'"');
    let quote = if has_single { '"' } else { '\'' };
    out.push('b');
    out.push(quote);
    for byte in bytes {
        match char::from(*byte) {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            char if char == quote => {
                out.push('\\');
                out.push(char);
            }
            char @ ' '..='~' => out.push(char),
            _ => write!(out, "\\x{byte:02x}").expect("writing to a String does not fail"),
        }
    }
    out.push(quote);
}

fn push_escape(char: char, out: &mut String) {
    let code = u32::from(char);
    let written = match code {
        0..=0xff => write!(out, "\\x{code:02x}"),
        0x100..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
    written.expect("writing to a String does not fail");
}

/// Python's `isprintable()` without its table of unassigned characters.
fn is_printable(char: char) -> bool {
    !(char.is_control()
        || (char.is_whitespace() && char != ' ')
        || matches!(
            char,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{e000}'..='\u{f8ff}' | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..
        ))
}

fn timestamp_repr(timestamp: &Timestamp) -> String {
    let Timestamp {
        year,
        month,
        day,
        time,
    } = timestamp;
    let Some(time) = time else {
        return format!("datetime.date({year}, {month}, {day})");
    };
    let Time {
        hour,
        minute,
        second,
        microsecond,
        offset,
    } = time;
    let mut text = format!("datetime.datetime({year}, {month}, {day}, {hour}, {minute}");
    let mut push = |part: String| text.push_str(&part);
    if *second > 0 || *microsecond > 0 {
        push(format!(", {second}"));
    }
    if *microsecond > 0 {
        push(format!(", {microsecond}"));
    }
    match *offset {
        None => {}
        Some(0) => push(", tzinfo=datetime.timezone.utc".to_owned()),
        Some(offset) => {
            let (days, seconds) = (offset.div_euclid(1440), offset.rem_euclid(1440) * 60);
            let days = if days == 0 {
                String::new()
            } else {
                format!("days={days}, ")
            };
            let delta = format!("datetime.timedelta({days}seconds={seconds})");
            push(format!(", tzinfo=datetime.timezone({delta})"));
        }
    }
    text.push(')');
    text
}
