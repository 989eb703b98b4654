//! One object, one cause, one fix.

use std::fmt;

/// Why something does not work, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// The object that has the trouble: `pod dev-1a2b3c4d-head, container docker`.
    pub object: String,
    /// What is wrong: a lower-case fragment.
    pub cause: String,
    /// What the user can do.
    pub hint: Option<String>,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.cause)
    }
}
