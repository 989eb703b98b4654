//! What lies in `tests/reference`, and the judgement on it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::case::Case;

/// The cases that only the command line can read.
const OF_THE_COMMAND_LINE: &str = "command_line.txt";

/// The cases whose flags the schema crate takes.
pub(crate) fn of_the_schema() -> Vec<Case> {
    cases(|file| !file.ends_with(OF_THE_COMMAND_LINE))
}

/// The cases that only the command line can read.
pub(crate) fn of_the_command_line() -> Vec<Case> {
    cases(|file| file.ends_with(OF_THE_COMMAND_LINE))
}

/// What `SkyPilot` made of each case.
pub(crate) fn recorded() -> BTreeMap<String, Json> {
    let text = read("recorded.jsonl");
    let records = text.lines().map(|line| {
        let record: Json = serde_json::from_str(line).expect("a line of JSON");
        (record["name"].as_str().expect("a name").to_owned(), record)
    });
    records.collect()
}

/// Fails with every difference that is not listed, and every listed one that is none.
pub(crate) fn judge(found: Vec<(String, Option<String>)>) {
    let recorded = recorded();
    let deviations = deviations();
    let mut complaints = Vec::new();
    let names: BTreeSet<String> = found.iter().map(|(name, _)| name.clone()).collect();
    for name in deviations.keys() {
        if !recorded.contains_key(name) {
            complaints.push(format!("{name}: a deviation of no case"));
        }
    }
    assert!(names.len() == found.len(), "two cases have one name");
    for (name, difference) in found {
        match (difference, deviations.get(&name)) {
            (Some(difference), None) => complaints.push(format!("{name}\n{difference}")),
            (None, Some(reason)) => {
                complaints.push(format!("{name}: no deviation any more: {reason}"));
            }
            _ => {}
        }
    }
    assert!(
        complaints.is_empty(),
        "{} differences:\n\n{}\n",
        complaints.len(),
        complaints.join("\n\n")
    );
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference")
}

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).expect("a file of the reference cases")
}

fn cases(is_wanted: impl Fn(&Path) -> bool) -> Vec<Case> {
    let entries = fs::read_dir(folder().join("cases")).expect("the folder of the cases");
    let files = entries.map(|entry| entry.expect("a file").path());
    let mut files: Vec<PathBuf> = files.filter(|path| is_wanted(path)).collect();
    files.sort();
    files.iter().flat_map(|path| Case::read_all(path)).collect()
}

/// The cases in which Skiff differs on purpose, with the reasons.
fn deviations() -> BTreeMap<String, String> {
    let text = read("deviations.yaml");
    let is_entry = |line: &&str| !line.starts_with('#') && !line.is_empty();
    let entries = text.lines().filter(is_entry).map(|line| {
        let (name, reason) = line.split_once(": ").expect("`name: reason`");
        (name.to_owned(), reason.to_owned())
    });
    entries.collect()
}
