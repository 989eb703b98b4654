//! Labels, by the rules of Kubernetes: `team: research`, `example.com/Team: a_b`.

use indexmap::IndexMap;

use crate::faults::Fault;
use crate::grammar::{Notation, Problem, ScalarKind};
use crate::path::Path;
use crate::yaml::{Node, Value};

/// The longest name of a key, and the longest value.
const LONGEST: usize = 63;
/// The longest prefix of a key.
const LONGEST_PREFIX: usize = 253;

/// More labels than a pod can use; every candidate has a copy of them.
const MOST: usize = 1000;

/// The prefix of the labels by which Skiff finds its pods.
const OWN_PREFIX: &str = "skiff.dev";

/// How the key of a label or annotation is written.
const KEY_PATTERN: &str =
    r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$";

/// The key of a label that is the user's own.
pub(crate) static LABEL_KEY: Notation = Notation {
    what: "the key of a label",
    kinds: &[ScalarKind::Text],
    pattern: KEY_PATTERN,
    check: |key| {
        check_own(key)?;
        check_key(key)
    },
};

/// The key of any label or annotation.
pub(crate) static METADATA_KEY: Notation = Notation {
    what: "the key of a label or annotation",
    kinds: &[ScalarKind::Text],
    pattern: KEY_PATTERN,
    check: check_key,
};

/// The value of a label.
pub(crate) static LABEL_VALUE: Notation = Notation {
    what: "a string",
    kinds: &[ScalarKind::Text],
    pattern: r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$",
    check: check_value,
};

/// Reads a mapping that was checked.
pub(crate) fn read(
    node: &Node,
    path: &Path<'_>,
    faults: &mut Vec<Fault>,
) -> IndexMap<String, String> {
    let Value::Mapping(entries) = &node.value else {
        return IndexMap::new();
    };
    if entries.len() > MOST {
        let message = format!("`{path}` has more than {MOST} labels");
        faults.push(Fault::new(message).at(node.span, ""));
        return IndexMap::new();
    }
    for entry in entries
        .iter()
        .filter(|entry| entry.value.value == Value::Null)
    {
        let name = entry.key.value.to_python_string();
        let message = format!("`{}` has no value", path.key(&name));
        let help = "write \"\" for a label without a value";
        faults.push(Fault::new(message).at(entry.key.span, "").help(help));
    }
    let texts = entries.iter().filter_map(|entry| match &entry.value.value {
        Value::String(value) => Some((entry.key.value.to_python_string(), value.clone())),
        _ => None,
    });
    texts.collect()
}

/// Whether a key is one that Skiff writes itself.
pub(crate) fn is_own(key: &str) -> bool {
    key.split_once('/')
        .is_some_and(|(prefix, _)| prefix == OWN_PREFIX)
}

/// Keeps users' labels apart from those that Skiff selects by.
fn check_own(key: &str) -> Result<(), Problem> {
    if is_own(key) {
        let help = "Skiff finds its pods by the labels under `skiff.dev/`: choose another";
        return Err(Problem::new(
            format!("the key `{key}` is Skiff's own"),
            help,
        ));
    }
    Ok(())
}

fn check_key(key: &str) -> Result<(), Problem> {
    let wrong = |why: &str, help: &str| {
        let message = format!("the key `{key}` {why}");
        Err(Problem::new(message, help))
    };
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if let Some(prefix) = prefix {
        if prefix.len() > LONGEST_PREFIX {
            return wrong("has too long a prefix", "use at most 253 characters");
        }
        if !is_domain(prefix) {
            let help = "before the `/` stands a domain in lower case: example.com/team";
            return wrong("has a prefix that is no domain", help);
        }
    }
    if name.len() > LONGEST {
        return wrong("is too long", "use at most 63 characters");
    }
    if !is_name(name) {
        return wrong("is none that Kubernetes takes", ALLOWED);
    }
    Ok(())
}

fn check_value(value: &str) -> Result<(), Problem> {
    let wrong = |why: &str, help: &str| {
        let message = format!("the value `{value}` of a label {why}");
        Err(Problem::new(message, help))
    };
    if value.len() > LONGEST {
        return wrong("is too long", "use at most 63 characters");
    }
    if !value.is_empty() && !is_name(value) {
        return wrong("is none that Kubernetes takes", ALLOWED);
    }
    Ok(())
}

const ALLOWED: &str =
    "use letters, digits, `-`, `_` and `.`, a letter or digit at the start and at the end";

fn is_name(text: &str) -> bool {
    let is_plain = |char: char| char.is_ascii_alphanumeric();
    text.starts_with(is_plain)
        && text.ends_with(is_plain)
        && text
            .chars()
            .all(|char| is_plain(char) || matches!(char, '-' | '_' | '.'))
}

/// Names with points between them, in lower case.
fn is_domain(text: &str) -> bool {
    let is_plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit();
    text.split('.').all(|part| {
        part.starts_with(is_plain)
            && part.ends_with(is_plain)
            && part.chars().all(|char| is_plain(char) || char == '-')
    })
}
