//! Where `~/sky_workdir` comes from: the file's own field, and the flags that change it.

use crate::faults::Fault;
use crate::view::View;
use crate::yaml::{Node, Value};
use crate::{TaskOverrides, Workdir};

/// Reads a `workdir` that has the right form.
pub(super) fn of_node(node: &Node) -> Option<Workdir> {
    match &node.value {
        Value::String(path) if !path.is_empty() => Some(Workdir::Folder(path.clone())),
        Value::Mapping(_) => {
            let fields = View::of(node);
            Some(Workdir::Git {
                url: fields.text("url")?.to_owned(),
                reference: fields.text("ref").map(str::to_owned),
            })
        }
        _ => None,
    }
}

/// Puts flags on top of what the file says.
pub(super) fn with_flags(
    written: Option<Workdir>,
    flags: Option<&TaskOverrides>,
    faults: &mut Vec<Fault>,
) -> Option<Workdir> {
    let Some(flags) = flags else { return written };
    let reference = flags.git_ref.clone();
    match (&flags.workdir, &flags.git_url, written) {
        (Some(_), Some(_), _) => {
            let fault = Fault::new("`--workdir` and `--git-url` exclude each other");
            faults.push(fault.help("keep one of them"));
            None
        }
        (Some(path), None, _) if reference.is_none() => {
            (!path.is_empty()).then(|| Workdir::Folder(path.clone()))
        }
        (None, Some(url), written) => {
            let own = match written {
                Some(Workdir::Git { reference, .. }) => reference,
                _ => None,
            };
            Some(Workdir::Git {
                url: url.clone(),
                reference: reference.or(own),
            })
        }
        (
            None,
            None,
            Some(Workdir::Git {
                url,
                reference: own,
            }),
        ) => Some(Workdir::Git {
            url,
            reference: reference.or(own),
        }),
        (_, _, written) => {
            if reference.is_some() {
                let fault = Fault::new("`--git-ref` names a part of no git repository");
                faults.push(fault.help("give the repository with `--git-url`"));
            }
            written
        }
    }
}
