//! Where a value stands in its document, as messages name it: `resources.ports[1]`.

use std::fmt;

/// A place in a document. Costs nothing until it is written out.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Top,
    Key(&'a str),
    Item(usize),
}

impl<'a> Path<'a> {
    /// The whole document.
    pub const TOP: Path<'static> = Path {
        parent: None,
        step: Step::Top,
    };

    /// What a key of this mapping holds.
    #[must_use]
    pub fn key(&'a self, name: &'a str) -> Self {
        Self {
            parent: Some(self),
            step: Step::Key(name),
        }
    }

    /// An item of this list.
    #[must_use]
    pub fn item(&'a self, index: usize) -> Self {
        Self {
            parent: Some(self),
            step: Step::Item(index),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Top => Ok(()),
            Step::Item(index) => write!(f, "[{index}]"),
            Step::Key(name) => {
                let is_inner = self
                    .parent
                    .is_some_and(|parent| !matches!(parent.step, Step::Top));
                write!(f, "{}{name}", if is_inner { "." } else { "" })
            }
        }
    }
}
