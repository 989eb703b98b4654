//! How scalars of the configuration are written, each with the parser that its reader uses.

use std::net::IpAddr;

use crate::grammar::{Notation, Problem, ScalarKind};

/// The longest part of a domain's name.
const LONGEST_LABEL: usize = 63;
/// The longest name of an object.
const LONGEST_NAME: usize = 253;
/// The longest script of a hook, in characters.
const LONGEST_HOOK: usize = 16 << 10;
/// The largest multiple of a request that a limit may be.
const LARGEST_LIMIT: u64 = 1000;

/// Any text that names something: a context, a label.
pub(super) static ANY_NAME: Notation = Notation {
    what: "a name",
    kinds: &[ScalarKind::Text],
    pattern: "",
    check: |_| Ok(()),
};

pub(crate) static NAMESPACE: Notation = Notation {
    what: "the name of a namespace",
    kinds: &[ScalarKind::Text],
    pattern: "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
    check: |text| {
        if is_domain_label(text) {
            return Ok(());
        }
        let message = format!("`{text}` is not the name of a namespace");
        let help = "use at most 63 lower-case letters, digits and `-`, no `-` first or last";
        Err(Problem::new(message, help))
    },
};

pub(super) static LIMITS: Notation = Notation {
    what: "a boolean or a number",
    kinds: &[ScalarKind::Bool, ScalarKind::Integer, ScalarKind::Float],
    pattern: "",
    check: |text| limits(text).map(drop),
};

/// Limits in thousandths of the requests, from what Python writes; None sets none.
pub(super) fn limits(text: &str) -> Result<Option<u64>, Problem> {
    match text {
        "True" => return Ok(Some(1000)),
        "False" => return Ok(None),
        _ => {}
    }
    thousandths(text)
        .filter(|milli| (1000..=LARGEST_LIMIT * 1000).contains(milli))
        .map(Some)
        .ok_or_else(|| {
            Problem::new(
                format!("`{text}` must be from 1 to {LARGEST_LIMIT}"),
                "write true for limits that equal the requests, 1.5 for half as much again",
            )
        })
}

/// Thousandths of a decimal number; what is finer is rounded up.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let (shown, finer) = fraction.split_at(fraction.len().min(3));
    let milli: u64 = format!("{shown:0<3}").parse().ok()?;
    let finer = u64::from(finer.bytes().any(|byte| byte != b'0'));
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(1000)?
        .checked_add(milli + finer)
}

pub(super) static IDENTITY: Notation = Notation {
    what: "the name of a service account",
    kinds: &[ScalarKind::Text],
    pattern: "",
    check: |text| {
        if is_keyword(text) || is_object_name(text) {
            return Ok(());
        }
        let message = format!("`{text}` is not the name of a service account");
        let help = "write `SERVICE_ACCOUNT`, `LOCAL_CREDENTIALS` or `NO_UPLOAD` for no token, or a name in lower case";
        Err(Problem::new(message, help))
    },
};

/// Whether a word of `remote_identity` is `SkyPilot`'s for an identity of its own.
pub(super) fn is_keyword(text: &str) -> bool {
    matches!(text, "SERVICE_ACCOUNT" | "LOCAL_CREDENTIALS" | "NO_UPLOAD")
}

/// The name of an object that belongs to no namespace.
pub(super) static CLASS: Notation = Notation {
    what: "the name of a class",
    kinds: &[ScalarKind::Text],
    pattern: r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    check: |text| {
        if is_object_name(text) {
            return Ok(());
        }
        let message = format!("`{text}` is not the name of a class");
        let help = "use lower-case letters, digits, `-` and `.`, as `kubectl get storageclasses` shows them";
        Err(Problem::new(message, help))
    },
};

/// A folder of a container that something may be mounted on.
pub(super) static ABSOLUTE_PATH: Notation = Notation {
    what: "an absolute path",
    kinds: &[ScalarKind::Text],
    pattern: "^/",
    check: |text| {
        let mut parts = text.split('/').filter(|part| !part.is_empty());
        let first = parts.clone().next();
        let is_plain = !text.contains(':') && parts.all(|part| !matches!(part, "." | ".."));
        if text.starts_with('/') && is_plain && !matches!(first, None | Some("skiff")) {
            return Ok(());
        }
        let message = format!("`{text}` is not a folder for a home");
        let help =
            "write an absolute path without `..` and `:`, not `/` and nothing below `/skiff`";
        Err(Problem::new(message, help))
    },
};

pub(super) static ADDRESS: Notation = Notation {
    what: "an IP address",
    kinds: &[ScalarKind::Text],
    pattern: "",
    check: |text| {
        text.parse::<IpAddr>().map(drop).map_err(|_| {
            Problem::new(
                format!("`{text}` is not an IP address"),
                "write it as 10.0.0.7",
            )
        })
    },
};

/// A time as the keys of `SkyPilot` that Skiff does not act on have it.
pub(super) static TIME: Notation = Notation {
    what: "a time",
    kinds: &[ScalarKind::Integer, ScalarKind::Text],
    pattern: "^[0-9]+[mhdwMHDW]?$",
    check: |text| {
        let number = text
            .strip_suffix(|char: char| "mhdwMHDW".contains(char))
            .unwrap_or(text);
        if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(());
        }
        let message = format!("`{text}` is not a time");
        Err(Problem::new(
            message,
            "write minutes, or a number of m, h, d or w: \"12h\"",
        ))
    },
};

pub(super) static MOUNT_PATH: Notation = Notation {
    what: "a path",
    kinds: &[ScalarKind::Text],
    pattern: "^(/|~/|~$)",
    check: |text| {
        if text == "~" || text.starts_with('/') || text.starts_with("~/") {
            return Ok(());
        }
        let message = format!("`{text}` is not an absolute path");
        Err(Problem::new(message, "begin with `/` or `~/`"))
    },
};

pub(super) static HOST: Notation = Notation {
    what: "the name of a host",
    kinds: &[ScalarKind::Text],
    pattern: "^[a-zA-Z0-9.-]+$",
    check: |text| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
        if !text.is_empty() && text.bytes().all(is_plain) {
            return Ok(());
        }
        let message = format!("`{text}` is not the name of a host");
        Err(Problem::new(message, "write it as mirror.example.com"))
    },
};

pub(super) static HOOK: Notation = Notation {
    what: "a script",
    kinds: &[ScalarKind::Text],
    pattern: "",
    check: |text| {
        if text.is_empty() {
            return Err(Problem::new("the script is empty", "write a command"));
        }
        let length = text.chars().count();
        if length <= LONGEST_HOOK {
            return Ok(());
        }
        let message =
            format!("the script has {length} characters, of {LONGEST_HOOK} that it may have");
        Err(Problem::new(
            message,
            "put it into a file of the workdir and call that",
        ))
    },
};

/// Whether a text can be the name of an object: parts of letters, digits and `-`, with points between them.
pub(crate) fn is_object_name(text: &str) -> bool {
    text.len() <= LONGEST_NAME && text.split('.').all(is_domain_label)
}

/// `[a-z0-9]([-a-z0-9]*[a-z0-9])?`, at most 63.
fn is_domain_label(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LONGEST_LABEL).contains(&text.len())
        && text.bytes().all(is_plain)
        && !text.starts_with('-')
        && !text.ends_with('-')
}
