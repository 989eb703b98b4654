//! Takes the values of secrets out of a stream of bytes. Pure.
//!
//! Finds the values by Wu and Manber's search: it looks at two bytes and skips as many as no value can begin in, so that
//! its cost does not grow with the number of secrets. Holds back only what may be the beginning of a value.

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use skiff_proto::SecretVariables;

/// What stands in the place of a secret.
const MASK: &[u8] = b"*****";
/// Shorter values are not masked: they are part of too many words.
const SHORTEST: usize = 4;
/// Lines of a value of many lines are masked by themselves from this length on.
const SHORTEST_LINE: usize = 8;
/// Entries of the table of skips; a power of two.
const TABLE: usize = 1 << 12;

/// What to look for.
#[derive(Debug)]
pub(super) struct Mask {
    /// Longest first.
    values: Vec<Vec<u8>>,
    /// How many bytes of each value the search looks at: the length of the shortest.
    window: usize,
    /// By two bytes: how far the search may skip where they end the window.
    skips: Vec<u8>,
    /// The bytes with which a value begins.
    firsts: [bool; 256],
}

/// What of one stream was held back, as it may be the beginning of a value.
#[derive(Debug, Default)]
pub(super) struct Masked {
    held: Vec<u8>,
}

impl Mask {
    /// Looks for the values of these variables; None where there is nothing to look for.
    pub(super) fn new(secrets: &SecretVariables) -> Option<Self> {
        let mut values = BTreeSet::new();
        for (_, value) in secrets.reveal() {
            let value = value.trim();
            if value.len() < SHORTEST {
                continue;
            }
            values.insert(value.as_bytes().to_vec());
            values.insert(BASE64_STANDARD_NO_PAD.encode(value).into_bytes());
            values.insert(BASE64_URL_SAFE_NO_PAD.encode(value).into_bytes());
            values.insert(percent_encoded(value).into_bytes());
            let lines = value.lines().map(str::trim);
            values.extend(
                lines
                    .filter(|line| line.len() >= SHORTEST_LINE)
                    .map(|line| line.as_bytes().to_vec()),
            );
        }
        let mut values: Vec<Vec<u8>> = values.into_iter().collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        let window = values.last()?.len().min(usize::from(u8::MAX));
        let longest_skip = u8::try_from(window - 1).unwrap_or(u8::MAX);
        let mut skips = vec![longest_skip; TABLE];
        for value in &values {
            for (at, pair) in value[..window].windows(2).enumerate() {
                let skip = &mut skips[slot(pair[0], pair[1])];
                let behind = window - 2 - at;
                *skip = (*skip).min(u8::try_from(behind).unwrap_or(u8::MAX));
            }
        }
        let mut firsts = [false; 256];
        for value in &values {
            firsts[usize::from(value[0])] = true;
        }
        Some(Self {
            values,
            window,
            skips,
            firsts,
        })
    }

    /// The first value in `bytes` from `at` on, the longest one where several begin there: its place and length.
    fn find(&self, bytes: &[u8], mut at: usize) -> Option<(usize, usize)> {
        while let Some(window) = bytes.get(at..at + self.window) {
            let skip = self.skips[slot(window[self.window - 2], window[self.window - 1])];
            if skip > 0 {
                at += usize::from(skip);
                continue;
            }
            let rest = &bytes[at..];
            if let Some(value) = self.values.iter().find(|value| rest.starts_with(value)) {
                return Some((at, value.len()));
            }
            at += 1;
        }
        None
    }

    /// Where the end of `bytes` begins, from `at` on, that may be the beginning of a value.
    fn unsure_from(&self, bytes: &[u8], at: usize) -> usize {
        let longest = self.values.first().map_or(0, Vec::len);
        let from = (bytes.len() + 1).saturating_sub(longest).max(at);
        (from..bytes.len())
            .find(|at| {
                let rest = &bytes[*at..];
                self.firsts[usize::from(rest[0])]
                    && self
                        .values
                        .iter()
                        .any(|value| value.len() > rest.len() && value.starts_with(rest))
            })
            .unwrap_or(bytes.len())
    }

    /// Appends to `out` what is certain of `bytes`, without the values in it; returns how much that is. All is certain where
    /// nothing more comes.
    fn copy(&self, bytes: &[u8], is_end: bool, out: &mut Vec<u8>) -> usize {
        let until = |at| {
            if is_end {
                bytes.len()
            } else {
                self.unsure_from(bytes, at)
            }
        };
        let (mut at, mut end) = (0, until(0));
        while let Some((start, len)) = self.find(bytes, at)
            && start < end
        {
            out.extend_from_slice(&bytes[at..start]);
            out.extend_from_slice(MASK);
            at = start + len;
            if at > end {
                end = until(at);
            }
        }
        out.extend_from_slice(&bytes[at..end]);
        end
    }
}

impl Masked {
    /// Takes the next bytes of the stream in and appends to `out` what of it is certain.
    pub(super) fn push(&mut self, mask: &Mask, bytes: &[u8], out: &mut Vec<u8>) {
        let joined;
        let all = if self.held.is_empty() {
            bytes
        } else {
            self.held.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.held);
            &joined
        };
        let taken = mask.copy(all, false, out);
        self.held = all[taken..].to_vec();
    }

    /// Nothing more comes: what was held back is at most a shorter value than it might have become.
    pub(super) fn finish(&mut self, mask: &Mask) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        let mut out = Vec::new();
        mask.copy(&held, true, &mut out);
        out
    }
}

fn slot(first: u8, second: u8) -> usize {
    ((usize::from(first) << 4) ^ usize::from(second)) & (TABLE - 1)
}

/// A value as it stands in an address.
fn percent_encoded(value: &str) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // A String takes every write.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests;
