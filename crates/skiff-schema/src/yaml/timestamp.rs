//! Dates and times: `PyYAML` turns them into objects whose text differs from what was written.

use std::fmt;

use super::scalar::NoSuchValue;

/// A date, or a date and a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timestamp {
    /// 1 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// The time of the day, where one was written.
    pub time: Option<Time>,
}

/// A time of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Time {
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 to 999 999.
    pub microsecond: u32,
    /// Minutes east of UTC, where a zone was written.
    pub offset: Option<i32>,
}

impl Timestamp {
    /// Reads a date with or without a time; None does not even have the form of one.
    pub(super) fn parse(text: &str) -> Option<Result<Self, NoSuchValue>> {
        let (date, rest) = Date::parse(text)?;
        let mut time = None;
        let mut exists = date.exists();
        if rest.is_empty() {
            if !date.is_padded {
                return None;
            }
        } else {
            let (parsed, rest) = parse_time(rest)?;
            if !rest.is_empty() {
                return None;
            }
            exists &= parsed.exists();
            time = Some(parsed);
        }
        let Date {
            year, month, day, ..
        } = date;
        let timestamp = Self {
            year,
            month,
            day,
            time,
        };
        Some(if exists {
            Ok(timestamp)
        } else {
            Err(NoSuchValue { kind: "a date" })
        })
    }
}

impl Time {
    fn exists(&self) -> bool {
        self.hour < 24
            && self.minute < 60
            && self.second < 60
            && self.offset.is_none_or(|offset| offset.abs() < 24 * 60)
    }
}

struct Date {
    year: u16,
    month: u8,
    day: u8,
    is_padded: bool,
}

impl Date {
    fn parse(text: &str) -> Option<(Self, &str)> {
        let (year, rest) = digits(text, 4, 4)?;
        let (month, rest) = digits(rest.strip_prefix('-')?, 1, 2)?;
        let (day, rest) = digits(rest.strip_prefix('-')?, 1, 2)?;
        let date = Self {
            year: year.parse().ok()?,
            month: month.parse().ok()?,
            day: day.parse().ok()?,
            is_padded: month.len() == 2 && day.len() == 2,
        };
        Some((date, rest))
    }

    fn exists(&self) -> bool {
        let is_leap = self.year.is_multiple_of(4)
            && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        let days = match self.month {
            4 | 6 | 9 | 11 => 30,
            2 => 28 + u8::from(is_leap),
            1..=12 => 31,
            _ => 0,
        };
        self.year > 0 && (1..=days).contains(&self.day)
    }
}

/// The part after the date, and what follows it.
fn parse_time(text: &str) -> Option<(Time, &str)> {
    let blank = [' ', '\t'];
    let rest = match text.strip_prefix(['T', 't']) {
        Some(rest) => rest,
        None if text.starts_with(blank) => text.trim_start_matches(blank),
        None => return None,
    };
    let (hour, rest) = digits(rest, 1, 2)?;
    let (minute, rest) = digits(rest.strip_prefix(':')?, 2, 2)?;
    let (second, mut rest) = digits(rest.strip_prefix(':')?, 2, 2)?;
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        (fraction, rest) = digits(after, 0, usize::MAX)?;
    }
    let (offset, rest) = parse_zone(rest)?;
    let fraction: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let time = Time {
        hour: hour.parse().ok()?,
        minute: minute.parse().ok()?,
        second: second.parse().ok()?,
        microsecond: fraction.parse().ok()?,
        offset,
    };
    Some((time, rest))
}

fn parse_zone(text: &str) -> Option<(Option<i32>, &str)> {
    let trimmed = text.trim_start_matches([' ', '\t']);
    if trimmed.is_empty() {
        return Some((None, text));
    }
    if let Some(rest) = trimmed.strip_prefix('Z') {
        return Some((Some(0), rest));
    }
    let sign = if trimmed.starts_with('-') { -1 } else { 1 };
    let (hours, mut rest) = digits(trimmed.strip_prefix(['+', '-'])?, 1, 2)?;
    let mut minutes = "0";
    if let Some(after) = rest.strip_prefix(':') {
        (minutes, rest) = digits(after, 2, 2)?;
    }
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    Some((Some(sign * (hours * 60 + minutes)), rest))
}

/// Splits off between `least` and `most` digits, as many as there are.
fn digits(text: &str, least: usize, most: usize) -> Option<(&str, &str)> {
    let count = text
        .bytes()
        .take_while(u8::is_ascii_digit)
        .take(most)
        .count();
    (count >= least).then(|| text.split_at(count))
}

/// As Python's `str()`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)?;
        let Some(time) = self.time else { return Ok(()) };
        write!(f, " {:02}:{:02}:{:02}", time.hour, time.minute, time.second)?;
        if time.microsecond > 0 {
            write!(f, ".{:06}", time.microsecond)?;
        }
        if let Some(offset) = time.offset {
            let sign = if offset < 0 { '-' } else { '+' };
            write!(f, "{sign}{:02}:{:02}", offset.abs() / 60, offset.abs() % 60)?;
        }
        Ok(())
    }
}
