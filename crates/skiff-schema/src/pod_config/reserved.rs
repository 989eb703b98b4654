//! What fragments of a pod must not say of the task's own container and of its pod, at its line.
//!
//! What only the finished pod shows is told by whoever builds it.

use crate::faults::Fault;
use crate::path::Path;
use crate::source::Span;
use crate::view::View;
use crate::yaml::{Node, Value};

use super::merge::{RAY_NODE, TASK};

/// The folder of the agent.
const FOLDER: &str = "/skiff";
/// What the names of the agent's variables begin with.
const VARIABLES: &str = "SKIFF_";
/// The volumes of the agent.
const VOLUMES: &[&str] = &["skiff", "parts"];

/// Finds what is for Skiff to choose in the `spec` of a fragment.
pub(super) fn check(spec: &Node, path: &Path<'_>, faults: &mut Vec<Fault>) {
    let fields = View::of(spec);
    if let Some(policy) = fields.get("restartPolicy")
        && fields.text("restartPolicy") == Some("Always")
    {
        let why = "with `Always` the pod would come back when its cluster ends: write `OnFailure` or `Never`";
        refuse(&path.key("restartPolicy"), policy.span, why, faults);
    }
    let volumes = path.key("volumes");
    for (index, volume) in items(fields, "volumes") {
        if let Some(name) = volume.get("name")
            && volume
                .text("name")
                .is_some_and(|name| VOLUMES.contains(&name))
        {
            let why = "the agent lives in a volume of this name: choose another";
            refuse(&volumes.item(index).key("name"), name.span, why, faults);
        }
    }
    let containers = path.key("containers");
    for (index, container) in items(fields, "containers") {
        let name = container.text("name");
        if name.is_none_or(|name| [RAY_NODE, TASK].contains(&name)) {
            check_task(container, &containers.item(index), faults);
        }
    }
}

fn check_task(container: View<'_>, path: &Path<'_>, faults: &mut Vec<Fault>) {
    for field in ["command", "args"] {
        if let Some(words) = container.get(field)
            && words.value != Value::Sequence(Vec::new())
        {
            let why = "the container's command is the agent: what the task runs is its `run`";
            refuse(&path.key(field), words.span, why, faults);
        }
    }
    let mounts = path.key("volumeMounts");
    for (index, mount) in items(container, "volumeMounts") {
        let Some(place) = mount.get("mountPath") else {
            continue;
        };
        let within = mount
            .text("mountPath")
            .and_then(|place| place.strip_prefix(FOLDER));
        if within.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            let why = "the agent lives under `/skiff`: mount elsewhere";
            refuse(
                &mounts.item(index).key("mountPath"),
                place.span,
                why,
                faults,
            );
        }
    }
    let variables = path.key("env");
    for (index, variable) in items(container, "env") {
        if let Some(name) = variable.get("name")
            && variable
                .text("name")
                .is_some_and(|name| name.starts_with(VARIABLES))
        {
            let why = "the variables `SKIFF_…` are the agent's: choose another name";
            refuse(&variables.item(index).key("name"), name.span, why, faults);
        }
    }
}

fn items<'a>(fields: View<'a>, list: &str) -> impl Iterator<Item = (usize, View<'a>)> {
    let items = match fields.get(list).map(|list| &list.value) {
        Some(Value::Sequence(items)) => items.as_slice(),
        _ => &[],
    };
    items.iter().map(View::of).enumerate()
}

fn refuse(path: &Path<'_>, span: Span, why: &str, faults: &mut Vec<Fault>) {
    let fault = Fault::new(format!("`{path}` is for Skiff to choose")).at(span, "");
    faults.push(fault.help(why));
}
