//! Reference pages: a section a record, a row a field.
//!
//! Records are told once, where they are met first; elsewhere a link leads there.

use std::collections::VecDeque;

use skiff_schema::grammar::{Effect, Field, Form, Notation, Record};

use crate::example::{FileOf, PlacedField, example};
use crate::place::Place;

/// A record with at least so many fields of another one names them only.
const MANY: usize = 5;

/// The sections of several pages while they are written.
#[derive(Debug, Default)]
pub struct Reference {
    told: Vec<Told>,
    /// The file name of the page that is being written.
    page: &'static str,
}

/// The record at the top of files.
#[derive(Clone, Copy, Debug)]
pub struct Top {
    /// The heading of its section.
    pub title: &'static str,
    /// The record.
    pub record: &'static Record,
    /// What kind of file has it.
    pub kind: FileOf,
}

/// A record that has a section, or gets one.
#[derive(Debug)]
struct Told {
    record: &'static Record,
    page: &'static str,
    heading: String,
}

/// A record that waits for its section.
struct Waiting {
    record: &'static Record,
    place: Place,
    heading: String,
}

impl Reference {
    /// The sections of everything below a record but what has been told before, for a page.
    pub fn sections(&mut self, page: &'static str, top: Top) -> String {
        self.page = page;
        let own = self.announce(top.record, Place::default(), top.title.to_owned());
        self.section(top.kind, &own).trim_end().to_owned() + "\n"
    }

    /// Makes a record known to links before its section is written.
    fn announce(&mut self, record: &'static Record, place: Place, heading: String) -> Waiting {
        self.told.push(Told {
            record,
            page: self.page,
            heading: heading.clone(),
        });
        Waiting {
            record,
            place,
            heading,
        }
    }

    fn told(&self, record: &Record) -> Option<&Told> {
        let mut told = self.told.iter();
        told.find(|told| std::ptr::eq(told.record, record))
    }

    fn link(&self, told: &Told) -> String {
        let page = if told.page == self.page {
            ""
        } else {
            told.page
        };
        format!("{page}#{}", slug(&told.heading))
    }

    fn section(&mut self, kind: FileOf, own: &Waiting) -> String {
        let mut inner = Vec::new();
        for field in public_fields(own.record) {
            for (record, place) in records_of(&field.form, &own.place.key(own.record, field.name)) {
                if self.told(record).is_none() {
                    let heading = format!("`{place}`");
                    inner.push(self.announce(record, place, heading));
                }
            }
        }
        let mut text = format!("### {}\n\n", own.heading);
        let (shared, fields) = self.divide(own.record);
        text += &shared;
        let (ignored, acting): (Vec<_>, Vec<_>) =
            fields.iter().partition(|field| is_ignored(field));
        text += &self.acting_rows(&acting);
        text += &self.ignored_rows(&ignored);
        for field in fields.iter().filter(|field| is_long(field.example)) {
            let placed = PlacedField {
                kind,
                record: own.record,
                field,
                place: own.place.clone(),
            };
            let file = example(&placed).unwrap_or_else(|(alone, _)| alone);
            text += &["```yaml\n", &file, "```\n\n"].concat();
        }
        for waiting in inner {
            text += &self.section(kind, &waiting);
        }
        text
    }

    /// A sentence on the fields that another record has too, and the other fields.
    fn divide(&self, record: &'static Record) -> (String, Vec<&'static Field>) {
        let earlier = self.told.iter();
        let likest = earlier
            .take_while(|told| !std::ptr::eq(told.record, record))
            .map(|told| (told, shared_fields(record, told.record)))
            // Of several, the first.
            .min_by_key(|(_, shared)| std::cmp::Reverse(shared.len()));
        let (told, shared) = match likest {
            Some((told, shared)) if shared.len() >= MANY => (told, shared),
            _ => return (String::new(), public_fields(record).collect()),
        };
        let names: Vec<String> = shared.iter().map(|name| format!("`{name}`")).collect();
        let (heading, link) = (&told.heading, self.link(told));
        let sentence = format!("{}: as in [{heading}]({link}).\n\n", names.join(", "));
        let others = public_fields(record).filter(|field| !shared.contains(&field.name));
        (sentence, others.collect())
    }

    fn acting_rows(&self, fields: &[&'static Field]) -> String {
        let rows = fields.iter().map(|field| {
            let default = if field.is_required {
                "required"
            } else {
                field.default
            };
            let name = format!("`{}`", field.name);
            let holds = self.holds(&field.form);
            row(&[&name, &holds, default, field.about, &shown(field.example)])
        });
        table(
            &["field", "holds", "default", "what it does", "example"],
            rows,
        )
    }

    fn ignored_rows(&self, fields: &[&'static Field]) -> String {
        let rows = fields.iter().map(|field| {
            let Effect::Ignored(why) = field.effect else {
                return String::new();
            };
            let name = format!("`{}`", field.name);
            let holds = self.holds(&field.form);
            row(&[&name, &holds, field.about, why, &shown(field.example)])
        });
        table(
            &[
                "read, then ignored",
                "holds",
                "what it is elsewhere",
                "why",
                "example",
            ],
            rows,
        )
    }

    /// What a field may hold, in a few words.
    fn holds(&self, form: &Form) -> String {
        match form {
            Form::Bool => "`true` or `false`".to_owned(),
            Form::Text => "text".to_owned(),
            Form::Word(known) => {
                let known: Vec<String> = known.iter().map(|word| format!("`{word}`")).collect();
                known.join(", ")
            }
            Form::Integer { min, max } => "whole number".to_owned() + &bounds(*min, *max),
            Form::Number { min } => "number".to_owned() + &bounds(*min, i64::MAX),
            Form::Scalar => "text or number".to_owned(),
            Form::Notation(notation) => notation.what.to_owned(),
            Form::List(items) => format!("list of: {}", self.holds(items)),
            Form::Map { keys, values } => {
                format!("mapping of {} to: {}", keys.what, self.holds(values))
            }
            Form::Record(record) => {
                let told = self
                    .told(record)
                    .expect("announced before its row is written");
                format!("[mapping]({})", self.link(told))
            }
            Form::OneOf(forms) => {
                let forms: Vec<String> = forms.iter().map(|form| self.holds(form)).collect();
                forms.join("; or ")
            }
            Form::Kubernetes(object) => format!("`{}` of Kubernetes", object.name),
            Form::Any => "anything".to_owned(),
        }
    }
}

/// A table, or nothing where it has no rows.
fn table(titles: &[&str], rows: impl Iterator<Item = String>) -> String {
    let rows: String = rows.collect();
    if rows.is_empty() {
        return rows;
    }
    let line = "|---".repeat(titles.len());
    format!("{}{line}|\n{rows}\n", row(titles))
}

fn row(cells: &[&str]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// An example in its row.
fn shown(example: &str) -> String {
    match example {
        "" => String::new(),
        example if is_long(example) => "below".to_owned(),
        example => format!("`{example}`"),
    }
}

fn is_ignored(field: &Field) -> bool {
    matches!(field.effect, Effect::Ignored(_))
}

/// The fields that people write.
fn public_fields(record: &'static Record) -> impl Iterator<Item = &'static Field> {
    let fields = record.fields.iter();
    fields.filter(|field| field.effect != Effect::Internal)
}

/// All fields that people write, below some records at the top of files; each record once.
pub(crate) fn fields_below(tops: impl IntoIterator<Item = Top>) -> Vec<PlacedField> {
    let mut seen: Vec<*const Record> = Vec::new();
    let mut found = Vec::new();
    for top in tops {
        let mut waiting = VecDeque::from([(top.record, Place::default())]);
        while let Some((record, place)) = waiting.pop_front() {
            if seen.contains(&std::ptr::from_ref(record)) {
                continue;
            }
            seen.push(record);
            for field in public_fields(record) {
                waiting.extend(records_of(&field.form, &place.key(record, field.name)));
                found.push(PlacedField {
                    kind: top.kind,
                    record,
                    field,
                    place: place.clone(),
                });
            }
        }
    }
    found
}

/// The records that a form holds directly, and where they stand.
pub fn records_of(form: &'static Form, place: &Place) -> Vec<(&'static Record, Place)> {
    match form {
        Form::Record(record) => vec![(record, place.clone())],
        Form::List(items) => records_of(items, &place.item()),
        Form::Map { keys, values } => records_of(values, &place.chosen(sample(keys))),
        Form::OneOf(forms) => {
            let forms = forms.iter();
            forms.flat_map(|form| records_of(form, place)).collect()
        }
        _ => Vec::new(),
    }
}

/// The fields that two records have in common, word for word.
fn shared_fields(record: &'static Record, other: &Record) -> Vec<&'static str> {
    let is_same = |field: &&Field| {
        let other = other.field(field.name);
        other.is_some_and(|other| (other.about, other.example) == (field.about, field.example))
    };
    public_fields(record)
        .filter(is_same)
        .map(|field| field.name)
        .collect()
}

/// Whether an example needs more than its row.
fn is_long(example: &str) -> bool {
    example.contains('\n')
}

fn bounds(min: i64, max: i64) -> String {
    match (min, max) {
        (i64::MIN, i64::MAX) => String::new(),
        (i64::MIN, max) => format!(", at most {max}"),
        (min, i64::MAX) => format!(", at least {min}"),
        (min, max) => format!(", {min} to {max}"),
    }
}

/// A key as a user might choose it.
fn sample(keys: &Notation) -> &'static str {
    let samples = [("path", "/data"), ("context", "my-context")];
    let fitting = samples.iter().find(|(word, _)| keys.what.contains(word));
    fitting.map_or("my-name", |(_, sample)| sample)
}

/// The fragment by which a heading is found.
fn slug(heading: &str) -> String {
    let kept = |char: char| match char {
        ' ' => Some('-'),
        char if char.is_alphanumeric() || matches!(char, '_' | '-') => Some(char),
        _ => None,
    };
    heading.to_lowercase().chars().filter_map(kept).collect()
}

#[cfg(test)]
mod tests;
