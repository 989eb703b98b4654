//! Documentation that is printed from the tables of the language: JSON Schemas for editors, and
//! the reference part of `docs/task-yaml.md`, `docs/config.md` and `docs/volumes.md`.
//!
//! Takes and gives texts. Must not read or write files: that is the part of the program.

mod example;
mod json_schema;
mod page;
mod place;
mod reference;

pub use example::{FileOf, PlacedField, example};
pub use json_schema::json_schema;
pub use page::{NoRegion, with_region};
pub use place::Place;
pub use reference::{Reference, Top, records_of};

use skiff_schema::grammar::Record;
use skiff_schema::{CONFIG, JOB_GROUP, PIPELINE, TASK, VOLUME_FILE};

/// The command that prints everything anew.
pub const COMMAND: &str = "cargo xtask docs";

/// A file of the repository that is printed, whole or in part.
#[derive(Debug)]
pub struct Document {
    /// Its path from the root of the repository.
    pub path: &'static str,
    /// What is printed.
    pub content: Content,
}

/// What of a document is printed.
#[derive(Debug)]
pub enum Content {
    /// All of it.
    Whole(String),
    /// Its marked region.
    Region(String),
}

/// The records at the top of task files, in the order of their page.
pub const TASKS: [Top; 3] = [
    Top {
        title: "A task",
        record: &TASK,
        kind: FileOf::Task,
    },
    Top {
        title: "The first document of a pipeline",
        record: &PIPELINE,
        kind: FileOf::Header,
    },
    Top {
        title: "The first document of a job group",
        record: &JOB_GROUP,
        kind: FileOf::Header,
    },
];
/// The record at the top of configurations.
pub const CONFIGURATION: Top = Top {
    title: "A configuration",
    record: &CONFIG,
    kind: FileOf::Config,
};

/// The record at the top of the files of volumes.
pub const VOLUME: Top = Top {
    title: "The file",
    record: &VOLUME_FILE,
    kind: FileOf::Volume,
};

/// All fields that people write, in tasks, before them, in configurations and in volumes.
pub fn placed_fields() -> Vec<PlacedField> {
    reference::fields_below(TASKS.into_iter().chain([CONFIGURATION, VOLUME]))
}

/// Everything that is printed.
pub fn documents() -> Vec<Document> {
    let headers = [&PIPELINE, &JOB_GROUP];
    vec![
        schema(
            "schemas/task.schema.json",
            "A task of Skiff",
            &TASK,
            &headers,
        ),
        schema(
            "schemas/config.schema.json",
            "A configuration of Skiff",
            &CONFIG,
            &[],
        ),
        schema(
            "schemas/volume.schema.json",
            "A volume of Skiff",
            &VOLUME_FILE,
            &[],
        ),
        page("docs/volumes.md", |reference| {
            reference.sections("volumes.md", VOLUME)
        }),
        page("docs/config.md", configuration),
        page("docs/task-yaml.md", |reference| {
            // What a task shares with the configuration is told there.
            configuration(reference);
            let parts = TASKS.map(|top| reference.sections("task-yaml.md", top));
            parts.join("\n")
        }),
    ]
}

fn schema(
    path: &'static str,
    title: &str,
    root: &'static Record,
    headers: &[&'static Record],
) -> Document {
    let schema = json_schema(title, root, headers);
    Document {
        path,
        content: Content::Whole(format!("{schema:#}\n")),
    }
}

fn page(path: &'static str, sections: impl FnOnce(&mut Reference) -> String) -> Document {
    Document {
        path,
        content: Content::Region(sections(&mut Reference::default())),
    }
}

fn configuration(reference: &mut Reference) -> String {
    reference.sections("config.md", CONFIGURATION)
}

impl Document {
    /// The document as it should be, from what it is now.
    pub fn renewed(&self, now: Option<&str>) -> Result<String, NoRegion> {
        match &self.content {
            Content::Whole(text) => Ok(text.clone()),
            Content::Region(text) => with_region(now.unwrap_or_default(), text),
        }
    }
}
