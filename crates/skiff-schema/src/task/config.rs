//! What a task's own `config:` changes of the configuration.

use serde::{Deserialize, Serialize};

use crate::faults::Fault;
use crate::fields::{Fields, Vocabulary};
use crate::kubernetes::{self, DockerMode, ProvisionTimeout};
use crate::view::View;

/// What the task's own `config:` changes of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskConfig {
    /// `kubernetes.enable_docker`.
    pub enable_docker: Option<DockerMode>,
    /// `kubernetes.provision_timeout`.
    pub provision_timeout: Option<ProvisionTimeout>,
}

const CONFIG_VOCABULARY: Vocabulary = Vocabulary {
    known: &["kubernetes"],
    unsupported: &[
        "active_workspace",
        "azure",
        "docker",
        "gcp",
        "hooks",
        "nvidia_gpus",
        "slurm",
        "ssh",
        "vast",
    ],
    ignored: &[],
};

const KUBERNETES_VOCABULARY: Vocabulary = Vocabulary {
    known: &["enable_docker", "provision_timeout"],
    unsupported: &[
        "custom_metadata",
        "dws",
        "kueue",
        "pod_config",
        "quota",
        "remote_identity",
        "set_pod_resource_limits",
    ],
    ignored: &[],
};

impl TaskConfig {
    /// Reads the `config` among the fields of a task.
    pub(super) fn read(task: View<'_>, faults: &mut Vec<Fault>) -> Self {
        let mut config = Self::default();
        let Some(field) = Fields::top(task.entries()).take("config") else {
            return config;
        };
        let Some(mut fields) = Fields::open("config", field, faults) else {
            return config;
        };
        if let Some(field) = fields.take("kubernetes")
            && let Some(mut fields) = Fields::open("config.kubernetes", field, faults)
        {
            config.enable_docker = kubernetes::read_docker(&mut fields, faults);
            config.provision_timeout = kubernetes::read_provision_timeout(&mut fields, faults);
            fields.finish(&KUBERNETES_VOCABULARY, faults);
        }
        fields.finish(&CONFIG_VOCABULARY, faults);
        config
    }
}
