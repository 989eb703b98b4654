//! Faults of a text that is no YAML, with what usually is behind them.

use saphyr_parser::Tag;

use crate::faults::Fault;
use crate::source::Span;

/// Signs in the parser's complaints, and what they usually come from.
const HELPS: [(&str, &str); 9] = [
    (
        "mapping values are not allowed",
        "put a value that holds `: ` in quotes, or below `|`",
    ),
    (
        "illegal placement of ':'",
        "is a bracket or a quote before this not closed?",
    ),
    (
        "did not find expected key",
        "indent this line as the lines above it",
    ),
    ("quoted scalar", "is a quote before this not closed?"),
    (
        "unknown anchor",
        "a value that begins with `*` or `&` must stand in quotes",
    ),
    ("flow", "is a bracket before this not closed?"),
    (
        "unexpected character",
        "put a value that begins with this character in quotes",
    ),
    (
        "block sequence entries are not allowed",
        "begin the list on the line below its key",
    ),
    (
        "<document start>",
        "nothing may follow the document; a second one begins with a line `---`",
    ),
];

/// What the parser complains of at a byte of the text.
pub(super) fn fault(text: &str, at: usize, complaint: &str) -> Fault {
    let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let rest = &text[line..];
    let indentation = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    if let Some(found) = rest[..indentation].find('\t') {
        return tab(line + found);
    }
    if text[at..].starts_with('\t') {
        return tab(at);
    }
    let end = text[at..]
        .chars()
        .next()
        .map_or(at, |char| at + char.len_utf8());
    let fault = Fault::new(format!("not valid YAML: {complaint}")).at(Span::new(at, end), "here");
    match HELPS.iter().find(|(sign, _)| complaint.contains(sign)) {
        Some((_, help)) => fault.help(*help),
        None => fault,
    }
}

/// A tab at a byte of the text, where only spaces may stand.
pub(super) fn tab(at: usize) -> Fault {
    Fault::new("a tab cannot indent YAML")
        .at(Span::new(at, at + 1), "this is a tab")
        .help("use spaces")
}

/// A tag that no value has.
pub(super) fn unknown_tag(tag: &Tag, span: Span) -> Fault {
    Fault::new(format!("the tag `{}` is not known", tag_name(tag)))
        .at(span, "")
        .help("remove the tag")
}

/// A tag as users write it.
pub(super) fn tag_name(tag: &Tag) -> String {
    match tag.handle.as_str() {
        "tag:yaml.org,2002:" => format!("!!{}", tag.suffix),
        _ => tag.to_string(),
    }
}
