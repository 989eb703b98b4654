//! The type of a plain scalar, by the regular expressions of `PyYAML`'s resolver.

use super::{Integer, Timestamp, Value};

/// A plain scalar that has the form of a type and no value of it: `0x_`, `2024-13-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoSuchValue {
    /// What it looks like.
    pub(super) kind: &'static str,
}

const NOT_A_NUMBER: NoSuchValue = NoSuchValue { kind: "a number" };

/// What `text` is when it stands there without quotes and without a tag.
pub(super) fn resolve(text: &str) -> Result<Value, NoSuchValue> {
    let Some(first) = text.bytes().next() else {
        return Ok(Value::Null);
    };
    if !matches!(first, b'+' | b'-' | b'.' | b'0'..=b'9') {
        return Ok(match text {
            "~" | "null" | "Null" | "NULL" => Value::Null,
            _ => boolean(text).map_or_else(|| Value::String(text.to_owned()), Value::Bool),
        });
    }
    if let Some(float) = float(text) {
        return Ok(Value::Float(float));
    }
    if let Some(integer) = integer(text) {
        return integer.map(Value::Int);
    }
    match Timestamp::parse(text) {
        Some(timestamp) => timestamp.map(Value::Timestamp),
        None => Ok(Value::String(text.to_owned())),
    }
}

/// Whether a plain scalar is the merge key.
pub(super) fn is_merge(text: &str) -> bool {
    text == "<<"
}

pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

fn is_digits_and_lines(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'_')
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
}

/// A whole number; None does not even have the form of one.
pub(super) fn integer(text: &str) -> Option<Result<Integer, NoSuchValue>> {
    let (negative, body) = split_sign(text);
    let plain = body.replace('_', "");
    let within = |digits: &str, radix| {
        !digits.is_empty()
            && digits
                .chars()
                .all(|digit| digit == '_' || digit.is_digit(radix))
    };
    if let Some(digits) = body.strip_prefix("0b").filter(|digits| within(digits, 2)) {
        return Some(number(negative, &digits.replace('_', ""), 2));
    }
    if let Some(digits) = body.strip_prefix("0x").filter(|digits| within(digits, 16)) {
        return Some(number(negative, &digits.replace('_', ""), 16));
    }
    if body.starts_with('0') {
        return within(body, 8).then(|| number(negative, &plain, 8));
    }
    if !starts_with_digit(body) {
        return None;
    }
    if body.contains(':') {
        let total = plain.split(':').try_fold(0_i128, |total, part| {
            total.checked_mul(60)?.checked_add(part.parse().ok()?)
        });
        let signed = total.map(|total| Integer::from(if negative { -total } else { total }));
        return is_sexagesimal(body).then(|| signed.ok_or(NOT_A_NUMBER));
    }
    is_digits_and_lines(body).then(|| number(negative, &plain, 10))
}

fn number(negative: bool, digits: &str, radix: u32) -> Result<Integer, NoSuchValue> {
    Integer::parse(negative, digits, radix).ok_or(NOT_A_NUMBER)
}

/// `[0-9][0-9_]*(:[0-5]?[0-9])+`, without the sign.
fn is_sexagesimal(body: &str) -> bool {
    let Some((first, rest)) = body.split_once(':') else {
        return false;
    };
    let is_part = |part: &str| match part.as_bytes() {
        [ones] => ones.is_ascii_digit(),
        [tens, ones] => (b'0'..=b'5').contains(tens) && ones.is_ascii_digit(),
        _ => false,
    };
    starts_with_digit(first) && is_digits_and_lines(first) && rest.split(':').all(is_part)
}

/// A number with a point.
pub(super) fn float(text: &str) -> Option<f64> {
    let (negative, body) = split_sign(text);
    let signed = |value: f64| if negative { -value } else { value };
    match body {
        ".inf" | ".Inf" | ".INF" => return Some(signed(f64::INFINITY)),
        ".nan" | ".NaN" | ".NAN" if body.len() == text.len() => return Some(f64::NAN),
        _ => {}
    }
    let (whole, fraction) = body.split_once('.')?;
    if whole.contains(':') {
        if !is_sexagesimal(whole) || !is_digits_and_lines(fraction) {
            return None;
        }
        let plain = body.replace('_', "");
        let total = plain.split(':').try_fold(0.0_f64, |total, part| {
            Some(total * 60.0 + part.parse::<f64>().ok()?)
        })?;
        return Some(signed(total));
    }
    let (digits, exponent) = match fraction.find(['e', 'E']) {
        Some(at) => (&fraction[..at], Some(&fraction[at + 1..])),
        None => (fraction, None),
    };
    let has_exponent_form = exponent.is_none_or(|exponent| {
        let (_, power) = split_sign(exponent);
        power.len() + 1 == exponent.len()
            && !power.is_empty()
            && power.bytes().all(|byte| byte.is_ascii_digit())
    });
    let has_digits_form = if whole.is_empty() {
        body.len() == text.len() && starts_with_digit(digits) && is_digits_and_lines(digits)
    } else {
        starts_with_digit(whole) && is_digits_and_lines(whole) && is_digits_and_lines(digits)
    };
    if !has_exponent_form || !has_digits_form {
        return None;
    }
    body.replace('_', "").parse().ok().map(signed)
}
