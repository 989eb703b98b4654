//! Examples of fields as whole files that Skiff reads.

use std::fmt;

use skiff_schema::grammar::{Effect, Field, Record};
use skiff_schema::{ConfigLayer, Faults, TaskFile, TaskOverrides, Volume, VolumeOverrides};

use crate::place::{Beside, Place};

/// The tasks of a group that examples speak of.
const GROUP: &str = "---\nname: trainer\nrun: id\n---\nname: replay-buffer\nrun: id\n";

/// A kind of file that fields stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileOf {
    /// A task, or what stands before several.
    Task,
    /// What stands before several tasks.
    Header,
    /// A configuration.
    Config,
    /// A volume.
    Volume,
}

impl FileOf {
    /// Reads a file; a secret that an example only names has a value.
    pub fn read(self, text: &str) -> Result<(), Faults> {
        let tasks = match self {
            Self::Config => return ConfigLayer::read("example.yaml", text).map(drop),
            Self::Volume => {
                let none = VolumeOverrides::default();
                return Volume::read_bytes("example.yaml", text.as_bytes(), &none).map(drop);
            }
            Self::Task => text.to_owned(),
            Self::Header => format!("{text}{GROUP}"),
        };
        let overrides = TaskOverrides {
            secrets: vec![("HF_TOKEN".to_owned(), "x".to_owned())],
            ..TaskOverrides::default()
        };
        for task in TaskFile::read("example.yaml", &tasks)?.tasks() {
            task.resolve(&overrides)?;
        }
        Ok(())
    }
}

/// A field and where it stands.
#[derive(Clone, Debug)]
pub struct PlacedField {
    /// In which kind of file.
    pub kind: FileOf,
    /// The record that has it.
    pub record: &'static Record,
    /// The field.
    pub field: &'static Field,
    /// Where the record stands.
    pub place: Place,
}

impl fmt::Display for PlacedField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.key(self.record, self.field.name).fmt(f)
    }
}

/// A file with the example of a field, and with the examples of as few other fields as it needs.
/// Gives back what is wrong with the field alone, if two others are not enough.
pub fn example(placed: &PlacedField) -> Result<String, (String, Faults)> {
    let PlacedField {
        kind,
        record,
        field,
        place,
    } = placed;
    let around = place
        .records()
        .chain([(place.depth(), *record, field.name)]);
    let mut needed = Vec::new();
    let mut helpful = Vec::new();
    for (step, record, name) in around {
        for other in record.fields.iter().filter(|other| other.name != name) {
            let beside: Beside<'_> = (step, other.example);
            match other.effect {
                _ if other.is_required => needed.push(beside),
                Effect::Acts if !other.example.is_empty() => helpful.push(beside),
                _ => {}
            }
        }
    }
    let with = |others: &[Beside<'_>]| place.around(field.example, &[&needed, others].concat());
    let is_read = |file: &String| kind.read(file).is_ok();
    let alone = with(&[]);
    let Err(faults) = kind.read(&alone) else {
        return Ok(alone);
    };
    let one = helpful.iter().map(|one| with(&[*one]));
    let two = helpful.iter().enumerate().flat_map(|(index, one)| {
        let others = helpful[index + 1..].iter();
        others.map(|two| with(&[*one, *two]))
    });
    one.chain(two).find(is_read).ok_or((alone, faults))
}
