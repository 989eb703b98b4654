//! Texts and places in them.

use std::fmt;
use std::sync::{Arc, OnceLock};

use miette::{MietteError, SourceCode, SourceSpan, SpanContents};

use crate::masking::masked;

/// Lines longer than this are not shown: the label of a fault in one becomes words.
const LONGEST_SHOWN_LINE: usize = 500;

/// A range of bytes of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The range from `start` to `end`; texts are shorter than 4 GiB (see [`crate::yaml`]).
    pub(crate) fn new(start: usize, end: usize) -> Self {
        let narrow = |position: usize| u32::try_from(position).unwrap_or(u32::MAX);
        Self {
            start: narrow(start),
            end: narrow(end.max(start)),
        }
    }

    /// The same range in a row of texts, of which those before have this many positions.
    pub(crate) fn moved(self, by: u32) -> Self {
        Self {
            start: self.start.saturating_add(by),
            end: self.end.saturating_add(by),
        }
    }

    pub(crate) fn to_source_span(self) -> SourceSpan {
        let length = (self.end - self.start) as usize;
        SourceSpan::new((self.start as usize).into(), length)
    }
}

/// A named text that faults point into.
#[derive(Clone)]
pub(crate) struct Source(Arc<Text>);

struct Text {
    name: String,
    content: String,
    /// As shown, made when something is: without control characters, which could drive a terminal,
    /// and without the values of secrets, all replaced byte for byte.
    shown: OnceLock<String>,
}

/// The name alone: there may be secrets in a text.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.0.name).finish()
    }
}

impl Source {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        Self(Arc::new(Text {
            name: name.to_owned(),
            content: text.to_owned(),
            shown: OnceLock::new(),
        }))
    }

    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    fn shown(&self) -> &str {
        let shown = || printable(&masked(&self.0.content));
        self.0.shown.get_or_init(shown)
    }

    /// Line and column of a byte, both counted from 1, the column in characters.
    pub(crate) fn position(&self, offset: u32) -> (usize, usize) {
        let text = self.0.content.as_str();
        let before = text.get(..offset as usize).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (
            before.matches('\n').count() + 1,
            before[line_start..].chars().count() + 1,
        )
    }

    /// Whether the lines of a span, and those beside it, are short enough to be shown.
    pub(crate) fn is_showable(&self, span: Span) -> bool {
        let text = self.0.content.as_str();
        let (before, rest) = text.split_at((span.start as usize).min(text.len()));
        let length = (span.end - span.start) as usize;
        let (_, after) = rest.split_at(length.min(rest.len()));
        let lengths = |lines: &mut dyn Iterator<Item = &str>| -> Vec<usize> {
            lines.take(2).map(str::len).collect()
        };
        let before = lengths(&mut before.rsplit('\n'));
        let after = lengths(&mut after.split('\n'));
        let own = before.first().unwrap_or(&0) + length + after.first().unwrap_or(&0);
        let beside = before.iter().skip(1).chain(after.iter().skip(1));
        beside
            .chain([&own])
            .all(|length| *length <= LONGEST_SHOWN_LINE)
    }
}

/// Several texts in one row of positions: a place in it says which text it is of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// Each text with its first position, in their order.
    texts: Vec<(u32, Source)>,
    /// The first position behind all of them.
    end: u32,
}

impl Sources {
    /// Appends a text and gives its first position.
    pub(crate) fn add(&mut self, source: Source) -> u32 {
        let start = self.end;
        let length = u32::try_from(source.0.content.len() + 1).unwrap_or(u32::MAX);
        self.end = start.saturating_add(length);
        self.texts.push((start, source));
        start
    }

    /// The text that a place is in, and its line there, counted from 1.
    pub(crate) fn line(&self, place: Span) -> Option<(&Source, usize)> {
        let behind = self
            .texts
            .partition_point(|(start, _)| *start <= place.start);
        let (start, source) = self.texts.get(behind.checked_sub(1)?)?;
        let (line, _) = source.position(place.start - start);
        Some((source, line))
    }
}

fn printable(text: &str) -> String {
    let hidden = |char: char| char.is_control() && !matches!(char, '\n' | '\t');
    text.chars()
        .flat_map(|char| {
            let (char, times) = if hidden(char) {
                (' ', char.len_utf8())
            } else {
                (char, 1)
            };
            std::iter::repeat_n(char, times)
        })
        .collect()
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let inner = self.shown().read_span(span, lines_before, lines_after)?;
        Ok(Box::new(miette::MietteSpanContents::new_named(
            self.name().to_owned(),
            inner.data(),
            *inner.span(),
            inner.line(),
            inner.column(),
            inner.line_count(),
        )))
    }
}
