//! YAML 1.1 as `PyYAML` reads it, with the place of every value.
//!
//! The grammar is `saphyr-parser`'s; this module gives scalars their types, expands aliases and
//! merge keys within bounds, and refuses duplicate keys. Must not know what a task is.

mod base64;
mod integer;
mod mapping;
mod node;
mod positions;
mod python;
mod reader;
mod scalar;
mod syntax;
mod text;
mod timestamp;

pub use integer::Integer;
pub use node::{Entry, Node, Value};
pub use text::MAX_TEXT;
pub use timestamp::{Time, Timestamp};

pub(crate) use reader::{counted, read};
pub(crate) use text::decode;

use crate::faults::Faults;
use crate::source::Source;

/// Reads all documents of a text; `name` is for messages only.
pub fn documents(name: &str, text: &str) -> Result<Vec<Node>, Faults> {
    let mut faults = Vec::new();
    match read(text, &mut faults) {
        Some(documents) if faults.is_empty() => Ok(documents),
        _ => Err(Faults::of(&Source::new(name, counted(text)), faults)),
    }
}

#[cfg(test)]
mod tests;
