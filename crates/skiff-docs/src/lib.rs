//! Documentation that is printed from the tables of the language: JSON Schemas for editors, and
//! the reference part of `docs/task-yaml.md` and `docs/config.md`.
//!
//! Takes and gives texts. Must not read or write files: that is the part of the program.

mod json_schema;
mod page;
mod place;
mod reference;

pub use json_schema::json_schema;
pub use page::{NoRegion, with_region};
pub use place::Place;
pub use reference::{Reference, example, public_fields, records_of};
