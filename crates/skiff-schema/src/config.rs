//! The configuration: layers of files, merged, then looked at for one context.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Faults, TaskConfig};

/// Which Docker a task gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DockerMode {
    /// None.
    #[default]
    Off,
    /// A daemon of its own in a privileged sidecar.
    All,
}

/// When a node pulls an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImagePullPolicy {
    /// At each start.
    Always,
    /// When the node has none.
    IfNotPresent,
    /// Not at all.
    Never,
}

/// How long to wait for pods to be scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProvisionTimeout {
    /// Give up after this time.
    After(Duration),
    /// Wait for ever.
    Forever,
}

/// The images that Skiff itself chooses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Images {
    /// Of CPU tasks that name none.
    pub task: String,
    /// Of GPU tasks that name none.
    pub task_gpu: String,
    /// Of the Docker sidecar.
    pub docker: String,
    /// Of the `BuildKit` sidecar.
    pub buildkit: String,
    /// Of pods that only hold something.
    pub pause: String,
}

/// The `kubernetes` section as it stands for one context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubernetesConfig {
    /// The namespace; None is the kubeconfig's.
    pub namespace: Option<String>,
    /// Images by role.
    pub images: Images,
    /// None is `IfNotPresent`.
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Docker for the task.
    pub enable_docker: DockerMode,
    /// None leaves it to the engine.
    pub provision_timeout: Option<ProvisionTimeout>,
}

/// Something in a file that was understood but changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// One sentence for the user, with file and line.
    pub message: String,
}

/// One file of configuration.
#[derive(Clone, Debug, Default)]
pub struct ConfigLayer {
    /// Keys that this version does not act on.
    pub warnings: Vec<Warning>,
}

impl ConfigLayer {
    /// Reads one configuration file's text; `file_name` is for messages only.
    pub fn read(file_name: &str, text: &str) -> Result<Self, Faults> {
        todo!("{file_name} {text}")
    }
}

/// All layers merged.
#[derive(Clone, Debug, Default)]
pub struct Config {
    _layers: (),
}

impl Config {
    /// Merges layers; later ones win.
    pub fn merge(layers: impl IntoIterator<Item = ConfigLayer>) -> Self {
        let _ = layers.into_iter().count();
        todo!()
    }

    /// The context to use where neither flag nor task names one.
    pub fn for_context(&self, context: Option<&str>) -> KubernetesConfig {
        todo!("{context:?}")
    }

    /// The same with what the task's own `config:` changes: what launching must use.
    pub fn for_task(&self, context: Option<&str>, task: &TaskConfig) -> KubernetesConfig {
        todo!("{context:?} {task:?}")
    }
}
