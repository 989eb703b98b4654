//! Random inputs for everything in `skiff-schema` that reads what users write.
//!
//! A [`Target`] takes an [`Input`] and panics where Skiff does what it must never do; a
//! [`Generator`] makes inputs out of a corpus of real files and the tables of the language. Knows
//! no time and no limits: those are the program's.

mod corpus;
mod documents;
mod generator;
mod input;
mod mutation;
mod pods;
mod target;
mod tasks;

pub use corpus::Corpus;
pub use generator::Generator;
pub use input::Input;
pub use target::{Target, Verdict};
