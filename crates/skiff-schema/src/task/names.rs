//! What tasks, variables and secrets may be called.

use crate::grammar::{Notation, Problem, ScalarKind};

/// Kinds of scalar whose `str()` may be the name of a variable.
const ANY_SCALAR: &[ScalarKind] = &[
    ScalarKind::Text,
    ScalarKind::Integer,
    ScalarKind::Float,
    ScalarKind::Bool,
];

/// The name of a variable.
pub(super) static VARIABLE: Notation = Notation {
    what: "the name of a variable",
    kinds: ANY_SCALAR,
    pattern: "^[A-Za-z_][A-Za-z0-9_]*$",
    check: variable,
};

/// A key of `secrets`.
pub(super) static SECRET: Notation = Notation {
    what: "the name of a secret",
    kinds: ANY_SCALAR,
    pattern: "^(secrets:)?[A-Za-z0-9_.-]+$",
    check: |text| secret(text.strip_prefix("secrets:").unwrap_or(text)),
};

/// An item of `secrets` as a list.
pub(super) static SECRET_REFERENCE: Notation = Notation {
    what: "a reference to a secret",
    kinds: &[ScalarKind::Text],
    pattern: "^secrets:[A-Za-z0-9_.-]+$",
    check: |text| match text.strip_prefix("secrets:") {
        Some(name) => secret(name),
        None => Err(Problem::new(
            "an item must refer to a secret that is kept elsewhere",
            "write `- secrets:<name>`; a value of your own stands in a mapping: `secrets: {NAME: value}`",
        )),
    },
};

/// The name of a secret that is kept elsewhere.
pub(super) static MANAGED_SECRET: Notation = Notation {
    what: "the name of a secret",
    kinds: &[ScalarKind::Text],
    pattern: "^(secrets:)?[A-Za-z0-9_.-]+$",
    check: |text| secret(text.strip_prefix("secrets:").unwrap_or(text)),
};

/// Whether a shell can have a variable of this name.
pub(crate) fn variable(name: &str) -> Result<(), Problem> {
    let is_letter = |char: char| char.is_ascii_alphabetic() || char == '_';
    let is_name = name.starts_with(is_letter)
        && name
            .chars()
            .all(|char| is_letter(char) || char.is_ascii_digit());
    if is_name {
        return Ok(());
    }
    let help = "use letters, digits and `_`, not a digit first";
    Err(Problem::new(
        format!("`{name}` is not the name of a variable"),
        help,
    ))
}

/// Whether a secret can have this name, which becomes a key of a Kubernetes Secret.
pub(super) fn secret(name: &str) -> Result<(), Problem> {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.');
    if !name.is_empty() && name.chars().all(is_plain) {
        return Ok(());
    }
    let help = "use letters, digits, `_`, `-` and `.`";
    Err(Problem::new("this is not the name of a secret", help))
}

/// Whether a task can have this name: `[a-zA-Z0-9]+(?:[._-]{1,2}[a-zA-Z0-9]+)*`.
pub(super) fn task(name: &str) -> Result<(), Problem> {
    let is_joint = |char: char| matches!(char, '.' | '_' | '-');
    let is_plain = |char: char| char.is_ascii_alphanumeric();
    let ends_plain = name.ends_with(is_plain) && name.starts_with(is_plain);
    let longest_joint = name.split(is_plain).map(str::len).max().unwrap_or(0);
    let has_form = name.chars().all(|char| is_joint(char) || is_plain(char));
    if ends_plain && longest_joint <= 2 && has_form {
        return Ok(());
    }
    let help = "use letters and digits, joined by `.`, `_` or `-`";
    Err(Problem::new(
        format!("`{name}` is not a valid name of a task"),
        help,
    ))
}
