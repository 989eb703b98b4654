//! Everything that is wrong with one text, found in one pass.

use std::fmt;

use miette::{Diagnostic, LabeledSpan, SourceCode};

use crate::source::{Source, Span};

/// How many faults of a text are told; whoever has more has another problem.
pub(crate) const MAX_FAULTS: usize = 50;
/// Characters of a message that are kept at its start and at its end, if it is too long: a value
/// that it quotes may have megabytes.
const KEPT: usize = 150;
/// The same of a help, which may list all the words that are known.
const KEPT_OF_HELP: usize = 1000;

/// One thing that is wrong: what, where, and what to write instead.
#[derive(Clone, Debug)]
pub struct Fault {
    message: String,
    help: Option<String>,
    labels: Vec<(Span, String)>,
    source: Option<Source>,
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: presentable(message.into(), KEPT),
            help: None,
            labels: Vec::new(),
            source: None,
        }
    }

    /// Points at a place; the first place is where the fault is.
    pub(crate) fn at(mut self, span: Span, label: impl Into<String>) -> Self {
        self.labels.push((span, label.into()));
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(presentable(help.into(), KEPT_OF_HELP));
        self
    }

    /// The same place without a word of what stands there, because a secret is in it.
    pub(crate) fn concealed(self, field: &str, place: Span) -> Self {
        let message = format!("`{field}` is wrong once its variables have their values");
        let help = "what is wrong is not shown, because the value of a secret is in it";
        let start = self.start().unwrap_or(place);
        Self::new(message).at(start, "").help(help)
    }

    /// The same fault in a text that has so many positions before this one's.
    pub(crate) fn moved(mut self, by: u32) -> Self {
        for (span, _) in &mut self.labels {
            *span = span.moved(by);
        }
        self
    }

    /// What is wrong: a lower-case fragment that names the field.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to write instead, where that is known.
    pub fn hint(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// Line and column, both counted from 1; None for a fault in a command-line flag.
    pub fn position(&self) -> Option<(usize, usize)> {
        let (span, _) = self.labels.first()?;
        Some(self.source.as_ref()?.position(span.start))
    }

    fn start(&self) -> Option<Span> {
        self.labels.first().map(|(span, _)| *span)
    }
}

/// A text without the control characters and the length that a quoted value may have.
fn presentable(message: String, kept: usize) -> String {
    let is_long = message.chars().nth(2 * kept).is_some();
    if !is_long && !message.contains(char::is_control) {
        return message;
    }
    let shown = |char: char| if char.is_control() { '\u{fffd}' } else { char };
    if !is_long {
        return message.chars().map(shown).collect();
    }
    let start = message.chars().take(kept);
    let mut end: Vec<char> = message.chars().rev().take(kept).collect();
    end.reverse();
    start.chain(['…']).chain(end).map(shown).collect()
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(source), Some((line, column))) = (&self.source, self.position()) {
            write!(f, "{}:{line}:{column}: ", source.name())?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl Diagnostic for Fault {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let source = self.source.as_ref()?;
        let mut shown = self
            .labels
            .iter()
            .filter(|(span, _)| source.is_showable(*span))
            .map(|(span, label)| {
                let label = Some(label.clone()).filter(|label| !label.is_empty());
                LabeledSpan::new_with_span(label, span.to_source_span())
            })
            .peekable();
        shown.peek()?;
        Some(Box::new(shown))
    }
}

/// All faults of one text in the order of their places, the first fifty if they are more; never
/// empty.
#[derive(Clone, Debug)]
pub struct Faults {
    name: String,
    /// How many there are, told or not.
    count: usize,
    told: Vec<Fault>,
}

impl Faults {
    pub(crate) fn of(source: &Source, mut faults: Vec<Fault>) -> Self {
        faults.sort_by_key(Fault::start);
        let count = faults.len();
        faults.truncate(MAX_FAULTS);
        for fault in &mut faults {
            fault.source = (!fault.labels.is_empty()).then(|| source.clone());
        }
        Self {
            name: source.name().to_owned(),
            count,
            told: faults,
        }
    }

    /// The fault of a text that cannot be shown.
    pub(crate) fn alone(name: &str, mut fault: Fault) -> Self {
        fault.message = format!("{name}: {}", fault.message);
        Self {
            name: name.to_owned(),
            count: 1,
            told: vec![fault],
        }
    }

    /// Faults of flags of a task that stands in no file.
    pub(crate) fn of_flags(faults: Vec<Fault>) -> Self {
        Self {
            name: "the command line".to_owned(),
            count: faults.len(),
            told: faults,
        }
    }

    /// What has the faults: a file by its name, or the command line.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The faults, in the order of their places.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.told.iter()
    }

    fn only(&self) -> Option<&Fault> {
        <&[Fault; 1]>::try_from(self.told.as_slice())
            .ok()
            .map(|[fault]| fault)
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.only() {
            Some(fault) => fault.fmt(f),
            None if self.count > self.told.len() => {
                write!(
                    f,
                    "{} has {} faults, of which the first are",
                    self.name, self.count
                )
            }
            None => write!(f, "{} has {} faults", self.name, self.count),
        }
    }
}

impl std::error::Error for Faults {}

impl Diagnostic for Faults {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.only()?.help()
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.only()?.source_code()
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.only()?.labels()
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        if self.only().is_some() {
            return None;
        }
        Some(Box::new(
            self.told.iter().map(|fault| fault as &dyn Diagnostic),
        ))
    }
}
