//! What a task puts into its pods: local files, copies from the cloud, buckets.
//!
//! Must not look at the files themselves: whether they exist is found where they are read.

mod grammar;
mod storage;

use indexmap::IndexMap;

use crate::faults::Fault;
use crate::grammar::{Form, Notation, Problem, ScalarKind};
use crate::path::Path;
use crate::resolved::FileMount;
use crate::view::View;
use crate::words;
use crate::yaml::{Node, Value};

/// The folder of the pods to which `workdir` is synced.
pub(crate) const WORKDIR: &str = "~/sky_workdir";

/// Where something appears.
pub(crate) static MOUNT_PATH: Notation = Notation {
    what: "a path",
    kinds: &[
        ScalarKind::Text,
        ScalarKind::Integer,
        ScalarKind::Float,
        ScalarKind::Bool,
    ],
    pattern: "",
    check: mount_path,
};

/// What appears at a path.
pub(crate) static MOUNT: Form = Form::OneOf(&[
    Form::Notation(&MOUNT_SOURCE),
    Form::Record(&grammar::STORAGE),
]);

/// Where something comes from.
static MOUNT_SOURCE: Notation = Notation {
    what: "a path or an address",
    kinds: &[ScalarKind::Text],
    pattern: "[^/]$",
    check: mount_source,
};

fn mount_path(text: &str) -> Result<(), Problem> {
    let help = "write a path of the pods, such as `/data` or `~/.netrc`";
    if text.is_empty() {
        return Err(Problem::new("a path is empty", help));
    }
    if text == "/" {
        return Err(Problem::new("nothing can appear at `/` itself", help));
    }
    if split_address(text).is_some() {
        let message = format!("`{text}` is an address, and here stands where it appears");
        return Err(Problem::new(message, help));
    }
    Ok(())
}

fn mount_source(text: &str) -> Result<(), Problem> {
    if text.is_empty() {
        let help = "write a local path, or an address such as `s3://bucket/folder`";
        return Err(Problem::new("the source is empty", help));
    }
    if text.ends_with('/') {
        let message = format!("`{text}` must not end with `/`");
        return Err(Problem::new(message, "remove the slash"));
    }
    match split_address(text) {
        Some((scheme, _)) if !storage::SCHEMES.contains(&scheme) && scheme != "http" => {
            let known = storage::SCHEMES;
            let help = match words::similar(scheme, known.into_iter()) {
                Some(like) => format!("did you mean `{like}://`?"),
                None => format!("write one of {}", words::one_of(&known)),
            };
            Err(Problem::new(
                format!("nothing is copied from `{scheme}://`"),
                help,
            ))
        }
        _ => Ok(()),
    }
}

/// The scheme of an address and what follows `://`; None for a path.
fn split_address(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let is_part = |char: char| char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '.');
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    (is_scheme && scheme.chars().all(is_part) && !rest.is_empty()).then_some((scheme, rest))
}

/// Reads `file_mounts` that have the right form.
pub(crate) fn read(
    mounts: &Node,
    has_workdir: bool,
    faults: &mut Vec<Fault>,
) -> IndexMap<String, FileMount> {
    let mut read = IndexMap::new();
    let path = Path::TOP;
    let path = path.key("file_mounts");
    for entry in View::of(mounts).entries() {
        let target = entry.key.value.to_python_string();
        if let Some(fault) = over_workdir(&target, has_workdir) {
            faults.push(fault.at(entry.key.span, ""));
        }
        match &entry.value.value {
            Value::String(source) => {
                if target.ends_with('/') && target != "/" {
                    let fault = Fault::new(format!("`{path}`: `{target}` must not end with `/`"));
                    faults.push(fault.at(entry.key.span, "").help("remove the slash"));
                }
                let mount = match split_address(source) {
                    Some(_) => FileMount::Cloud(source.clone()),
                    None => FileMount::Local(source.clone()),
                };
                read.insert(target, mount);
            }
            Value::Mapping(_) => {
                let storage = storage::read(&entry.value, &path.key(&target), faults);
                read.insert(target, FileMount::Storage(storage));
            }
            Value::Null => {
                let path = path.key(&target);
                let fault = Fault::new(format!("`{path}` has no source"));
                let help =
                    "write a local path, an address such as `s3://bucket/folder`, or a bucket";
                faults.push(fault.at(entry.key.span, "").help(help));
            }
            _ => {}
        }
    }
    read
}

/// The fault of something that would appear where the working directory is.
pub(crate) fn over_workdir(target: &str, has_workdir: bool) -> Option<Fault> {
    (has_workdir && target.trim_end_matches('/') == WORKDIR).then(|| {
        Fault::new(format!("`{target}` is where `workdir` goes"))
            .help("choose a path within it, or remove `workdir`")
    })
}
