//! What of a text may be shown: what stands within `secrets` is masked, byte for byte.
//!
//! Works on lines and not on the tree, because the text that is shown may be no YAML at all.
//! Whatever is in doubt is masked: too many stars are better than one secret.

use crate::words;

/// The field whose values are masked.
const FIELD: &str = "secrets";
/// Parts of the names of fields that hold a secret.
const SIGNS: [&str; 3] = ["secret", "password", "service_account_token"];
/// How alike a key must be to be meant as the field.
const LIKENESS: f64 = 0.85;
/// A longer key is not meant as the field.
const LONGEST_KEY: usize = 12;

/// The text with what stands within secrets as stars, of the same length in bytes.
pub(crate) fn masked(text: &str) -> String {
    let mut mask = Mask {
        text,
        shown: String::with_capacity(text.len()),
    };
    let mut rest = Lines { text, at: 0 };
    while let Some(line) = rest.next() {
        match Key::secret_in(line) {
            None => mask.show_to(rest.at),
            Some(key) => {
                mask.show_to(line.start + key.end);
                let region = Region::of(text, line, &key);
                rest.at = region.end;
                mask.hide(&region);
            }
        }
    }
    mask.shown
}

/// A line of a text, and where it begins.
#[derive(Clone, Copy)]
struct Line<'a> {
    text: &'a str,
    start: usize,
}

impl<'a> Line<'a> {
    fn indent(self) -> usize {
        self.text.len() - self.trimmed().len()
    }

    fn trimmed(self) -> &'a str {
        self.text.trim_start_matches([' ', '\t'])
    }
}

struct Lines<'a> {
    text: &'a str,
    /// Where the next one begins.
    at: usize,
}

impl<'a> Lines<'a> {
    /// The next line, its break at its end.
    fn next(&mut self) -> Option<Line<'a>> {
        let start = self.at;
        let rest = self.text.get(start..).filter(|rest| !rest.is_empty())?;
        let length = rest.find('\n').map_or(rest.len(), |newline| newline + 1);
        self.at += length;
        Some(Line {
            text: &rest[..length],
            start,
        })
    }
}

/// A key of a line that holds secrets.
struct Key {
    /// Behind its colon.
    end: usize,
    /// Whether nothing but dashes and blanks stands before it.
    is_first: bool,
}

impl Key {
    /// The first key of a line that holds secrets, by its name.
    fn secret_in(line: Line<'_>) -> Option<Self> {
        let bytes = line.text.as_bytes();
        let mut start = 0;
        while start < bytes.len() {
            let length = bytes[start..]
                .iter()
                .take_while(|byte| is_part(**byte))
                .count();
            let word = &line.text[start..start + length];
            if length > 0
                && let Some(end) = behind_colon(line.text, start + length)
                && is_secret(word)
            {
                let before = &line.text[..start];
                let is_blank = |char: char| matches!(char, ' ' | '\t' | '-' | '?' | '"' | '\'');
                return Some(Self {
                    end,
                    is_first: before.chars().all(is_blank),
                });
            }
            start += length.max(1);
        }
        None
    }
}

fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') || !byte.is_ascii()
}

/// Whether a key is the field's name, or may be meant as it.
pub(crate) fn is_secret(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let has_sign = SIGNS.iter().any(|sign| lower.contains(sign));
    has_sign || (word.len() <= LONGEST_KEY && words::likeness(&lower, FIELD) >= LIKENESS)
}

/// The byte behind the colon that follows a key, or behind a key whose colon is on the next line.
fn behind_colon(line: &str, end: usize) -> Option<usize> {
    let rest = &line[end..];
    let quote = rest.strip_prefix(['"', '\'']);
    let unquoted = quote.unwrap_or(rest);
    let blank = unquoted.trim_start_matches([' ', '\t']);
    if line.trim_start().starts_with('?') && blank.trim_end().is_empty() {
        return Some(end);
    }
    let value = blank.strip_prefix(':')?;
    // A name such as `secrets:TOKEN` is a word of its own.
    let is_key = quote.is_some() || !value.starts_with(|char: char| char.is_ascii_alphanumeric());
    is_key.then_some(line.len() - value.len())
}

/// What stands behind a key.
struct Region {
    end: usize,
    /// Where the lines begin that do not begin within brackets or quotes.
    lines: Vec<usize>,
}

impl Region {
    fn of(text: &str, line: Line<'_>, key: &Key) -> Self {
        // Within brackets any indentation will do.
        let indent = if key.is_first { line.indent() } else { 0 };
        let start = line.start + key.end;
        let mut region = Self {
            end: behind_value(text, start, line.start + line.text.len()),
            lines: Vec::new(),
        };
        let mut is_empty = text[start..region.end].trim().is_empty();
        let mut lines = Lines {
            text,
            at: region.end,
        };
        while let Some(next) = lines.next() {
            let trimmed = next.trimmed();
            let is_blank = trimmed.trim_end().is_empty() || trimmed.starts_with('#');
            let opens = is_empty && trimmed.starts_with(['{', '[', '"', '\'', '&', '!', '|', '>']);
            let belongs = next.indent() > indent
                || (next.indent() == indent && trimmed.starts_with('-'))
                || (trimmed.starts_with(':') && key.is_first);
            if !(is_blank || opens || belongs) || is_document(next.text) {
                return region;
            }
            is_empty &= is_blank;
            let value = trimmed.find(": ").map_or(0, |colon| colon + 2);
            let value = next.start + next.indent() + if opens { 0 } else { value };
            lines.at = behind_value(text, value, lines.at);
            region.lines.push(next.start);
            region.end = lines.at;
        }
        region
    }
}

fn is_document(line: &str) -> bool {
    line.starts_with("---") || line.starts_with("...")
}

/// The end of a line, or of a later one, if a bracket or a quote of its value is open until there.
fn behind_value(text: &str, start: usize, line_end: usize) -> usize {
    let value = text[start..].trim_start_matches([' ', '\t', '-', '?', ':']);
    let value = without_properties(value);
    let from = text.len() - value.len();
    let end = if value.starts_with(['{', '[', '"', '\'']) {
        from + balanced(value)
    } else {
        from
    };
    if end <= line_end {
        return line_end;
    }
    let rest = &text[end..];
    rest.find('\n')
        .map_or(text.len(), |newline| end + newline + 1)
}

/// A value without its anchor and its tag.
fn without_properties(value: &str) -> &str {
    let mut value = value;
    while value.starts_with(['&', '!']) {
        let end = value.find([' ', '\t', '\n']).unwrap_or(value.len());
        value = value[end..].trim_start_matches([' ', '\t']);
    }
    value
}

/// The length of what stands in brackets or quotes at the start of a text; all of it, if they are
/// never closed.
fn balanced(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut is_escaped = false;
    for (at, char) in text.char_indices() {
        match (quote, char) {
            _ if is_escaped => is_escaped = false,
            (Some('"'), '\\') => is_escaped = true,
            (Some(open), _) if open == char => quote = None,
            (None, '"' | '\'') => quote = Some(char),
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && quote.is_none() {
            return at + char.len_utf8();
        }
    }
    text.len()
}

struct Mask<'a> {
    text: &'a str,
    shown: String,
}

impl Mask<'_> {
    /// Takes the text over up to a byte.
    fn show_to(&mut self, end: usize) {
        self.shown.push_str(&self.text[self.shown.len()..end]);
    }

    /// Takes stars for a region, but for the breaks and indentations of lines, and for keys of the
    /// first level.
    fn hide(&mut self, region: &Region) {
        let mut level = None;
        let mut rest = Lines {
            text: &self.text[..region.end],
            at: self.shown.len(),
        };
        while let Some(line) = rest.next() {
            let (trimmed, own) = (line.trimmed(), line.indent());
            let is_begun = region.lines.binary_search(&line.start).is_ok();
            let is_key_level = is_begun && *level.get_or_insert(own) == own;
            let key = if is_key_level { plain_key(trimmed) } else { 0 };
            self.show_to(line.start + own + key);
            let content = trimmed[key..].trim_end_matches(['\n', '\r']);
            self.shown.extend(std::iter::repeat_n('*', content.len()));
            self.show_to(line.start + line.text.len());
        }
    }
}

/// The length of a key and its colon at the start of a line; 0: there is none.
fn plain_key(line: &str) -> usize {
    let length = line.bytes().take_while(|byte| is_part(*byte)).count();
    let rest = &line[length..];
    let is_key = length > 0 && (rest.starts_with(": ") || rest.trim_end() == ":");
    if is_key { length + 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::masked;

    #[test]
    fn values_are_masked_and_keys_stay() {
        let text = "name: x\nsecrets:\n  TOKEN: hunter2 # why\n  B:\n\nrun: id\n";
        let shown = "name: x\nsecrets:\n  TOKEN:**************\n  B:\n\nrun: id\n";
        assert_eq!(masked(text), shown);
    }

    #[test]
    fn the_rest_of_the_text_stays() {
        for text in [
            "managed: x\nenvs: {A: 1}\nrun: |\n  echo no secrets here\n",
            "- secrets:TOKEN\n",
            "resources: {cpus: 2}\n",
        ] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn every_way_to_write_a_secret_is_masked() {
        for text in [
            "secrets: {A: hunter2, B: x}\nrun: id",
            "secrets:\n  A: hunter2",
            "secrets:\n- hunter2\n",
            "secrets:\n  A: |\n    b: hunter2\n     c\n\n    hunter2\nrun: id",
            "secrets:\n  A: \"x\nhunter2\"\nrun: id",
            "secrets:\n  A: 'x\n\nhunter2 \nrun: id",
            "secrets:\n{A:\nhunter2}\nrun: id",
            "secrets: {A: [b,\nhunter2], c: '}',\nd: hunter2\n",
            "{run: id, secrets: {A: hunter2}}",
            "{run: id,\n secrets: {A:\nhunter2}}",
            "{\"run\": \"id\",\"secrets\":{\"A\":\"hunter2\"}}",
            "? secrets\n: A: hunter2\n",
            "? secrets\n:\n  A: hunter2\n",
            "'secrets' : &x !!map\n  A: &y !!str hunter2\n",
            "secrets:\n  ? A\n  : hunter2\n",
            "secrets: hunter2\n",
            "Secrets:\n  A: hunter2\n",
            "secret:\n  A: hunter2\n",
            "secerts:\n  A: hunter2\n",
            "a:\r\n  secrets:\r\n    A: hunter2\r\n",
            "secrets:\n\tA: hunter2\n",
            "secrets:\n  A: x\n# comment\n  B: hunter2\n",
            "secrets:\n  A: \"x\n  hunter2: y\"\n",
            "- secrets:\n    A: hunter2\n",
        ] {
            let shown = masked(text);
            assert!(!shown.contains("hunter2"), "{shown}");
            assert_eq!(shown.len(), text.len());
            assert_eq!(shown.matches('\n').count(), text.matches('\n').count());
        }
    }

    proptest! {
        #[test]
        fn masking_keeps_lines_and_length(
            text in r#"(secrets|a|: |:|\n|\n  |\n    |\r\n|\{|\}|\[|\]|, |"|'|\\|&a |!!str |\? |- |#|\||é|😀|x){0,60}"#
        ) {
            let shown = masked(&text);
            prop_assert_eq!(shown.len(), text.len());
            let breaks = |text: &str| text.match_indices('\n').map(|(at, _)| at).collect::<Vec<_>>();
            prop_assert_eq!(breaks(&shown), breaks(&text));
        }
    }
}
