//! Everything that is wrong with one text, found in one pass.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    message: String,
}

/// All faults of one file, in the order of the text.
#[derive(Clone, Debug)]
pub struct Faults {
    faults: Vec<Fault>,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.faults {
            f.write_str(&fault.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

impl miette::Diagnostic for Faults {}
