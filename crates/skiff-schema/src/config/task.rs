//! What a task's own `config` changes.

use serde::{Serialize, Serializer};
use serde_json::Value as Json;

use crate::faults::Fault;
use crate::json;
use crate::path::Path;
use crate::view::View;
use crate::yaml::{Node, Value};

use super::docker;

/// The most hooks that a task may have.
const MOST_HOOKS: usize = 32;

/// Seconds that a hook may take, where it does not say.
const HOOK_SECONDS: u64 = 3600;
/// What hooks may run before.
pub(super) const HOOK_EVENTS: [&str; 3] = ["stop", "preemption", "down"];

/// A script that runs before the cluster ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskHook {
    /// Shell text.
    pub run: String,
    /// Before what: `stop`, `preemption`, `down`; never empty.
    pub events: Vec<String>,
    /// Seconds that it may take.
    pub timeout_s: u64,
}

fn hook(fields: View<'_>) -> TaskHook {
    let mut events: Vec<String> = match fields.get("events").map(|events| &events.value) {
        Some(Value::Sequence(items)) => items
            .iter()
            .map(|item| item.value.to_python_string().to_lowercase())
            .collect(),
        _ => Vec::new(),
    };
    if events.is_empty() {
        events = HOOK_EVENTS.map(str::to_owned).to_vec();
    }
    let timeout = fields.integer("timeout");
    TaskHook {
        run: fields.scalar("run").unwrap_or_default(),
        events,
        timeout_s: timeout
            .and_then(|seconds| u64::try_from(seconds).ok())
            .unwrap_or(HOOK_SECONDS),
    }
}

/// What a task's own `config` changes of the configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskConfig {
    tree: Option<Node>,
}

impl TaskConfig {
    /// Reads the `config` among the fields of a task, which has been checked against
    /// [`TASK_CONFIG`](super::TASK_CONFIG).
    pub(crate) fn read(task: View<'_>, faults: &mut Vec<Fault>) -> Self {
        let Some(node) = task.get("config") else {
            return Self::default();
        };
        docker::check_task(node, &Path::TOP.key("config"), faults);
        if let Some(hooks) = View::of(node).get("hooks")
            && let Value::Sequence(items) = &hooks.value
            && items.len() > MOST_HOOKS
        {
            let message = format!(
                "`{}` has {} hooks, of {MOST_HOOKS} that it may have",
                Path::TOP.key("config").key("hooks"),
                items.len()
            );
            faults.push(Fault::new(message).at(hooks.span, ""));
        }
        Self {
            tree: Some(node.clone()).filter(|node| matches!(node.value, Value::Mapping(_))),
        }
    }

    /// As written; nothing where it is not.
    pub fn to_json(&self) -> Json {
        self.tree.as_ref().map_or(Json::Null, json::of_node)
    }

    /// The scripts that run before the cluster ends, in the order in which they run.
    pub fn hooks(&self) -> Vec<TaskHook> {
        let hooks = self
            .tree
            .as_ref()
            .and_then(|tree| View::of(tree).get("hooks"));
        let Some(Value::Sequence(items)) = hooks.map(|hooks| &hooks.value) else {
            return Vec::new();
        };
        items.iter().map(|item| hook(View::of(item))).collect()
    }

    pub(super) fn kubernetes(&self) -> Option<&Node> {
        View::of(self.tree.as_ref()?).get("kubernetes")
    }
}

impl Serialize for TaskConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}
