//! YAML 1.1 as `PyYAML` reads it, with the place of every value.
//!
//! The grammar is `saphyr-parser`'s; this module gives scalars their types, expands aliases and
//! merge keys within bounds, and refuses duplicate keys. Must not know what a task is.

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

#[cfg(test)]
mod tests;
