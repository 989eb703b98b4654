//! What a task's own `config` changes.

use serde::{Serialize, Serializer};
use serde_json::Value as Json;

use crate::faults::Fault;
use crate::json;
use crate::path::Path;
use crate::view::View;
use crate::yaml::{Node, Value};

/// The most hooks that a task may have.
const MOST_HOOKS: usize = 32;

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

    pub(super) fn kubernetes(&self) -> Option<&Node> {
        View::of(self.tree.as_ref()?).get("kubernetes")
    }
}

impl Serialize for TaskConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}
