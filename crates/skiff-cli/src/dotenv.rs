//! Env files as dotenv writes them: quotes, escapes, `export`, comments, values over several lines, `${NAME}`.
//!
//! Pure: the environment comes as an argument. Must not put a value into an error: it may be a secret.

use std::fmt;

/// Lines that are not `NAME=VALUE`, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    lines: Vec<usize>,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.lines.iter().map(usize::to_string).collect();
        match lines.as_slice() {
            [line] => write!(f, "line {line} is not NAME=VALUE"),
            lines => write!(f, "lines {} are not NAME=VALUE", lines.join(", ")),
        }
    }
}

/// Names and values in the order of the text; `environment` is what `${NAME}` may refer to.
pub(crate) fn parse(
    text: &str,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String)>, Malformed> {
    let mut rest = Rest(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut lines = Vec::new();
    while rest.skip_blank() {
        let line = 1 + newlines(&text[..text.len() - rest.0.len()]);
        match rest.statement() {
            Some(Statement::Comment) => {}
            Some(Statement::Pair(name, value)) => {
                let own = |name: &str| {
                    let before = pairs.iter().rfind(|(known, _)| known == name);
                    before.map(|(_, value)| value.clone())
                };
                let value = expand(&value, |name| own(name).or_else(|| environment(name)));
                pairs.push((name, value));
            }
            None => {
                lines.push(line);
                rest.skip_while(|char| !is_line_end(char));
            }
        }
    }
    if lines.is_empty() {
        Ok(pairs)
    } else {
        Err(Malformed { lines })
    }
}

/// What stands between two ends of lines.
enum Statement {
    Comment,
    Pair(String, String),
}

/// The text that is not read yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Goes to the next statement; false where there is none.
    fn skip_blank(&mut self) -> bool {
        self.0 = self.0.trim_start();
        !self.0.is_empty()
    }

    /// Takes characters while they are so.
    fn skip_while(&mut self, is_so: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|char| !is_so(char)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    /// Takes one statement and the rest of its line; None where there is no well-formed one.
    fn statement(&mut self) -> Option<Statement> {
        if let Some(rest) = self.0.strip_prefix("export")
            && rest.starts_with(is_blank)
        {
            self.0 = rest;
            self.skip_while(is_blank);
        }
        if self.0.starts_with('#') {
            self.skip_while(|char| !is_line_end(char));
            return Some(Statement::Comment);
        }
        let name = self.name()?;
        self.skip_while(is_blank);
        self.0 = self.0.strip_prefix('=')?;
        let gap = self.skip_while(is_blank);
        let value = if self.0.starts_with('#') && !gap.is_empty() {
            String::new()
        } else {
            self.value()?
        };
        self.skip_while(is_blank);
        if self.0.starts_with('#') {
            self.skip_while(|char| !is_line_end(char));
        }
        (self.0.is_empty() || self.0.starts_with(is_line_end))
            .then_some(Statement::Pair(name, value))
    }

    fn name(&mut self) -> Option<String> {
        let name = if let Some(quoted) = self.0.strip_prefix('\'') {
            let (name, rest) = quoted.split_once('\'')?;
            self.0 = rest;
            name
        } else {
            self.skip_while(|char| !matches!(char, '=' | '#') && !char.is_whitespace())
        };
        (!name.is_empty()).then(|| name.to_owned())
    }

    fn value(&mut self) -> Option<String> {
        if let Some(quote @ ('\'' | '"')) = self.0.chars().next() {
            return self.quoted(quote);
        }
        let line = self.skip_while(|char| !is_line_end(char));
        Some(without_comment(line).trim_end().to_owned())
    }

    /// A value in quotes, which may go over several lines.
    fn quoted(&mut self, quote: char) -> Option<String> {
        let mut value = String::new();
        let mut chars = self.0[1..].char_indices();
        while let Some((at, char)) = chars.next() {
            match char {
                '\\' => {
                    let (_, escaped) = chars.next()?;
                    match unescape(escaped).filter(|_| quote == '"' || "\\'".contains(escaped)) {
                        Some(char) => value.push(char),
                        None => value.extend(['\\', escaped]),
                    }
                }
                char if char == quote => {
                    self.0 = &self.0[1 + at + 1..];
                    return Some(value);
                }
                char => value.push(char),
            }
        }
        None
    }
}

/// What a backslash and this character stand for.
fn unescape(escaped: char) -> Option<char> {
    Some(match escaped {
        '\\' | '\'' | '"' => escaped,
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        _ => return None,
    })
}

/// Up to a `#` that follows a space.
fn without_comment(line: &str) -> &str {
    let mut before = None;
    for (at, char) in line.char_indices() {
        if char == '#' && before.is_some_and(char::is_whitespace) {
            return &line[..at];
        }
        before = Some(char);
    }
    line
}

/// Puts values in the place of `${NAME}` and `${NAME:-default}`.
fn expand(value: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, from)) = rest.split_once("${") {
        expanded.push_str(before);
        let reference = from.split_once('}').and_then(|(inner, after)| {
            let (name, default) = match inner.split_once(':') {
                Some((name, default)) => (name, default.strip_prefix('-')?),
                None => (inner, ""),
            };
            Some((lookup(name).unwrap_or_else(|| default.to_owned()), after))
        });
        rest = if let Some((text, after)) = reference {
            expanded.push_str(&text);
            after
        } else {
            expanded.push_str("${");
            from
        };
    }
    expanded + rest
}

fn newlines(text: &str) -> usize {
    text.replace("\r\n", "\n").matches(is_line_end).count()
}

fn is_line_end(char: char) -> bool {
    matches!(char, '\n' | '\r')
}

fn is_blank(char: char) -> bool {
    char.is_whitespace() && !is_line_end(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let environment = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
        parse(text, environment).expect("well-formed")
    }

    fn value(text: &str) -> String {
        let pairs = pairs(text);
        assert_eq!(pairs.len(), 1, "{text}");
        pairs[0].1.clone()
    }

    #[test]
    fn values_are_read_as_dotenv_reads_them() {
        // What python-dotenv 1.2 gives for each of them.
        for (text, expected) in [
            ("A=1", "1"),
            ("A=", ""),
            ("A = spaced  ", "spaced"),
            ("export A=1", "1"),
            ("'A'=1", "1"),
            ("A=a b # c", "a b"),
            ("A=a#b", "a#b"),
            ("A= # c", ""),
            ("A=#x", "#x"),
            ("A='x=y'", "x=y"),
            ("A='single \\n \\' \\\\'", "single \\n ' \\"),
            ("A=\"double \\n \\' \\\" \\x\"", "double \n ' \" \\x"),
            ("A=\"two\nlines\" # c", "two\nlines"),
            ("A=plain\\n", "plain\\n"),
            ("\u{feff}A=1\r\n", "1"),
        ] {
            assert_eq!(value(text), expected, "{text:?}");
        }
    }

    #[test]
    fn references_are_replaced_by_earlier_values_and_the_environment() {
        let text = "A=1\nB='${A}${HOME}${NO:-d}${NO}$A ${A:x}'\n";
        assert_eq!(pairs(text)[1].1, "1/home/med$A ${A:x}");
    }

    #[test]
    fn comments_and_empty_lines_give_nothing() {
        assert_eq!(
            pairs("# one\n\n  # two\nA=1\n\n"),
            [("A".into(), "1".into())]
        );
    }

    #[test]
    fn lines_that_are_no_pairs_are_told_all_at_once_without_their_text() {
        let text = "A=1\nnonsense\nB=\"a\nb\"\nkey: secret\nC=\"open\nD=1\n";
        let malformed = parse(text, |_| None).expect_err("malformed");
        assert_eq!(malformed.to_string(), "lines 2, 5, 6 are not NAME=VALUE");
    }
}
