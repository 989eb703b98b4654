//! The configuration: layers of files and flags, merged as trees in which every value knows its
//! place, then looked at for one context and one task. Must not read files.

mod docker;
mod docker_notations;
mod language;
mod layer;
mod listing;
mod merge;
pub(crate) mod notations;
mod pattern;
mod section;
mod task;

use crate::source::Sources;
use crate::view::View;
use crate::yaml::{Node, Value};

use self::layer::Rank;
use self::merge::Place;

pub use self::language::{CONFIG, TASK_CONFIG};
pub use self::layer::{ConfigLayer, Warning};
pub use self::listing::{ConfigEntry, Origin};
pub use self::section::{AllowedNodes, CustomMetadata, HomeVolume, Images, KubernetesConfig};
pub use self::task::{TaskConfig, TaskHook};

/// All layers merged.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the files say.
    files: Node,
    /// What the command line says: it is laid over what a task says too.
    flags: Node,
    /// Where each place in both is.
    sources: Sources,
}

/// The contexts that may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedContexts {
    /// Their names.
    pub names: Vec<String>,
    /// Who says so.
    pub origin: Origin,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            files: merge::empty(),
            flags: merge::empty(),
            sources: Sources::default(),
        }
    }
}

impl Config {
    /// Merges layers; later ones win, and those of flags over those of files.
    pub fn merge(layers: impl IntoIterator<Item = ConfigLayer>) -> Self {
        let mut config = Self::default();
        for layer in layers {
            let start = config.sources.add(layer.source);
            let upper = merge::moved(layer.tree, start);
            let lower = match layer.rank {
                Rank::File => &mut config.files,
                Rank::Flag => &mut config.flags,
            };
            let below = std::mem::replace(lower, merge::empty());
            *lower = merge::merge(Place::Top, below, upper);
        }
        config
    }

    /// What holds for a context: its own `context_configs` over the rest.
    pub fn for_context(&self, context: Option<&str>) -> KubernetesConfig {
        self.for_task(context, &TaskConfig::default())
    }

    /// The same with what the task's own `config` changes: what launching must use. What is nearer
    /// to the launch wins: files, the context's own section of them, the task, flags.
    pub fn for_task(&self, context: Option<&str>, task: &TaskConfig) -> KubernetesConfig {
        KubernetesConfig::read(&self.section(context, task), context)
    }

    /// The contexts that may be used; None: all.
    pub fn allowed_contexts(&self) -> Option<AllowedContexts> {
        let section = self.section(None, &TaskConfig::default());
        let node = View::of(&section).get("allowed_contexts")?;
        let Value::Sequence(items) = &node.value else {
            return None;
        };
        let names = items.iter().map(|item| item.value.to_python_string());
        Some(AllowedContexts {
            names: names.collect(),
            origin: self.origin(node.span),
        })
    }

    /// The `kubernetes` section as it stands for a context and a task.
    fn section(&self, context: Option<&str>, task: &TaskConfig) -> Node {
        let files = contextual(&self.files, context);
        let with_task = match task.kubernetes() {
            Some(own) => merge::merge(Place::Section, files, own.clone()),
            None => files,
        };
        merge::merge(Place::Section, with_task, contextual(&self.flags, context))
    }
}

/// The `kubernetes` section of a tree with a context's own laid over it.
fn contextual(tree: &Node, context: Option<&str>) -> Node {
    let Some(section) = View::of(tree).get("kubernetes") else {
        return merge::empty();
    };
    let own = context.and_then(|context| View::of(section).view("context_configs").get(context));
    let section = merge::without(section.clone(), "context_configs");
    match own {
        Some(own) => merge::merge_context(section, own.clone()),
        None => section,
    }
}
