//! Where a field stands in a file: its name for people, and the lines around it.

use std::fmt;

use skiff_schema::grammar::Record;

/// The mappings and lists around a field.
#[derive(Clone, Debug, Default)]
pub struct Place {
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A field of a record.
    Key(&'static Record, &'static str),
    /// A key that users choose, such as this one.
    Chosen(&'static str),
    /// An item of a list.
    Item,
}

/// Lines beside one of the steps to a place, by the number of that step.
pub(crate) type Beside<'a> = (usize, &'a str);

impl Place {
    /// What a field of a record holds, which stands here.
    #[must_use]
    pub fn key(&self, record: &'static Record, name: &'static str) -> Self {
        self.then(Step::Key(record, name))
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

    /// The records around, each with the field that leads here and the number of that step.
    pub(crate) fn records(&self) -> impl Iterator<Item = (usize, &'static Record, &'static str)> {
        let steps = self.steps.iter().enumerate();
        steps.filter_map(|(index, step)| match step {
            Step::Key(record, name) => Some((index, *record, *name)),
            Step::Chosen(_) | Step::Item => None,
        })
    }

    /// The number of the step that would come next: that of fields that stand here.
    pub(crate) fn depth(&self) -> usize {
        self.steps.len()
    }

    /// A whole file that has these lines at this place, and others beside the way to it.
    pub(crate) fn around(&self, lines: &str, beside: &[Beside<'_>]) -> String {
        let mut file = Lines::default();
        let beside = |file: &mut Lines, step: usize| {
            for (_, lines) in beside.iter().filter(|(index, _)| *index == step) {
                file.add(lines);
            }
        };
        for (index, step) in self.steps.iter().enumerate() {
            beside(&mut file, index);
            match step {
                Step::Key(_, name) | Step::Chosen(name) => file.open(name),
                Step::Item => file.item(),
            }
        }
        beside(&mut file, self.depth());
        file.add(lines);
        file.text
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            match step {
                Step::Key(_, name) => write!(f, "{dot}{name}")?,
                Step::Chosen(_) => write!(f, "{dot}*")?,
                Step::Item => f.write_str("[]")?,
            }
        }
        Ok(())
    }
}

/// A file while it is written.
#[derive(Default)]
struct Lines {
    text: String,
    indent: String,
    /// Whether the next line begins an item of a list.
    is_item: bool,
}

impl Lines {
    fn add(&mut self, lines: &str) {
        for line in lines.trim_end().lines() {
            if !line.is_empty() {
                self.text.push_str(&self.indent);
                if self.is_item {
                    // The dash stands in the indentation of the item.
                    self.text.truncate(self.text.len() - 2);
                    self.text.push_str("- ");
                    self.is_item = false;
                }
            }
            self.text.push_str(line);
            self.text.push('\n');
        }
    }

    fn open(&mut self, name: &str) {
        self.add(&[name, ":"].concat());
        self.indent.push_str("  ");
    }

    fn item(&mut self) {
        self.indent.push_str("  ");
        self.is_item = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static RECORD: Record = Record {
        name: "record",
        fields: &[],
    };

    fn top(name: &'static str) -> Place {
        Place::default().key(&RECORD, name)
    }

    #[test]
    fn lines_get_the_mappings_and_lists_around_them() {
        let place = top("resources").key(&RECORD, "any_of").item();
        assert_eq!(
            place.around("labels:\n  a: b\n", &[]),
            "resources:\n  any_of:\n    - labels:\n        a: b\n"
        );
        assert_eq!(place.to_string(), "resources.any_of[]");
    }

    #[test]
    fn other_lines_stand_beside_the_way() {
        let place = top("file_mounts").chosen("/data").key(&RECORD, "config");
        let file = place.around("read_only: true", &[(0, "run: id"), (2, "source: s3://a")]);
        assert_eq!(
            file,
            "run: id\nfile_mounts:\n  /data:\n    source: s3://a\n    config:\n      read_only: true\n"
        );
        assert_eq!(place.to_string(), "file_mounts.*.config");
    }

    #[test]
    fn the_first_line_of_an_item_gets_the_dash() {
        let place = top("hooks").item();
        assert_eq!(
            place.around("timeout: 5", &[(2, "run: a")]),
            "hooks:\n  - run: a\n    timeout: 5\n"
        );
    }

    #[test]
    fn lines_at_the_top_stay_as_they_are() {
        assert_eq!(Place::default().around("name: a", &[]), "name: a\n");
    }
}
