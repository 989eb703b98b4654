//! Where a field stands in a file: its name for people, and the lines around it.

use std::fmt;

/// The mappings and lists around a field.
#[derive(Clone, Debug, Default)]
pub struct Place {
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    Key(&'static str),
    /// A key that users choose, such as this one.
    Chosen(&'static str),
    /// An item of a list.
    Item,
}

impl Place {
    /// What a key of this mapping holds.
    #[must_use]
    pub fn key(&self, name: &'static str) -> Self {
        self.then(Step::Key(name))
    }

    /// What a key that the user chose holds; this one is for examples.
    #[must_use]
    pub fn chosen(&self, name: &'static str) -> Self {
        self.then(Step::Chosen(name))
    }

    /// An item of this list.
    #[must_use]
    pub fn item(&self) -> Self {
        self.then(Step::Item)
    }

    fn then(&self, step: Step) -> Self {
        let mut steps = self.steps.clone();
        steps.push(step);
        Self { steps }
    }

    /// A whole file that has these lines at this place.
    pub fn around(&self, lines: &str) -> String {
        let mut text = String::new();
        let mut indent = String::new();
        // What stands before the next line: spaces, or the dash of an item.
        let mut start = String::new();
        for step in &self.steps {
            let name = match step {
                Step::Key(name) | Step::Chosen(name) => name,
                Step::Item => {
                    start = format!("{indent}- ");
                    indent += "  ";
                    continue;
                }
            };
            text += &format!("{start}{name}:\n");
            indent += "  ";
            start.clone_from(&indent);
        }
        for line in lines.trim_end().lines() {
            let line = format!("{start}{line}");
            text += line.trim_end();
            text.push('\n');
            start.clone_from(&indent);
        }
        text
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            match step {
                Step::Key(name) => write!(f, "{dot}{name}")?,
                Step::Chosen(_) => write!(f, "{dot}*")?,
                Step::Item => f.write_str("[]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_get_the_mappings_and_lists_around_them() {
        let place = Place::default().key("resources").key("any_of").item();
        assert_eq!(
            place.around("labels:\n  a: b\n"),
            "resources:\n  any_of:\n    - labels:\n        a: b\n"
        );
        assert_eq!(place.to_string(), "resources.any_of[]");
    }

    #[test]
    fn keys_that_users_choose_get_a_name() {
        let place = Place::default().key("file_mounts").chosen("/data");
        assert_eq!(
            place.around("store: s3"),
            "file_mounts:\n  /data:\n    store: s3\n"
        );
        assert_eq!(place.to_string(), "file_mounts.*");
    }

    #[test]
    fn lines_at_the_top_stay_as_they_are() {
        assert_eq!(Place::default().around("name: a"), "name: a\n");
    }
}
