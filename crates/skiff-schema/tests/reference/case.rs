//! The files in which the reference cases are written.

use std::fs;
use std::path::Path;

/// A task file, the flags beside it, and the files around it.
pub(crate) struct Case {
    /// Which no other case has.
    pub(crate) name: String,
    /// The words of the command line.
    pub(crate) flags: Vec<String>,
    /// The text of the task file.
    pub(crate) task: String,
    /// Further files, by name.
    pub(crate) files: Vec<(String, String)>,
}

impl Case {
    /// The cases of one file.
    pub(crate) fn read_all(path: &Path) -> Vec<Self> {
        let text = fs::read_to_string(path).expect("a readable file");
        let mut cases: Vec<Self> = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with("## ")) {
            if let Some(name) = line.strip_prefix("=== ") {
                cases.push(Self {
                    name: name.trim().to_owned(),
                    flags: Vec::new(),
                    task: String::new(),
                    files: Vec::new(),
                });
            } else if let Some(case) = cases.last_mut() {
                case.take(line);
            }
        }
        for case in &mut cases {
            let task = &mut case.task;
            for text in case.files.iter_mut().map(|(_, text)| text).chain([task]) {
                text.truncate(text.trim_end_matches('\n').len());
                text.push('\n');
            }
        }
        cases
    }

    /// The text of a file beside the task.
    pub(crate) fn file(&self, name: &str) -> Option<&str> {
        let mut files = self.files.iter();
        files
            .find(|(other, _)| other == name)
            .map(|(_, text)| text.as_str())
    }

    fn take(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("+++ ") {
            self.files.push((name.trim().to_owned(), String::new()));
            return;
        }
        if let Some(flags) = line.strip_prefix("> ").filter(|_| self.task.is_empty()) {
            self.flags.extend(words(flags));
            return;
        }
        let text = self
            .files
            .last_mut()
            .map_or(&mut self.task, |(_, text)| text);
        text.push_str(line);
        text.push('\n');
    }
}

/// The words of a line, as a shell sees them: double quotes keep spaces.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('"').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}
