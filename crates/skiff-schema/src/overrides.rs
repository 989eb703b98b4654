//! What the command line changes of a task.

use std::fmt;

/// Values of the shared task flags, as the user typed them. `none` resets a field to its default.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TaskOverrides {
    /// `--name`
    pub name: Option<String>,
    /// `--workdir`
    pub workdir: Option<String>,
    /// `--git-url`
    pub git_url: Option<String>,
    /// `--git-ref`
    pub git_ref: Option<String>,
    /// `--num-nodes`
    pub num_nodes: Option<String>,
    /// `--env-file` and `--env`, later ones win.
    pub envs: Vec<(String, String)>,
    /// `--secret-file` and `--secret`, later ones win.
    pub secrets: Vec<(String, String)>,
    /// What they change of every candidate's resources.
    pub resources: ResourceOverrides,
}

/// The flags for `resources`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceOverrides {
    /// `--infra`
    pub infra: Option<String>,
    /// `--cpus`
    pub cpus: Option<String>,
    /// `--memory`
    pub memory: Option<String>,
    /// `--gpus`
    pub accelerators: Option<String>,
    /// `--instance-type`
    pub instance_type: Option<String>,
    /// `--disk-size`
    pub disk_size: Option<String>,
    /// `--disk-tier`
    pub disk_tier: Option<String>,
    /// `--network-tier`
    pub network_tier: Option<String>,
    /// `--local-disk`
    pub local_disk: Option<String>,
    /// `--image-id`
    pub image_id: Option<String>,
    /// `--priority`
    pub priority: Option<String>,
    /// `--ports`, which may be given often; the word `none` closes all.
    pub ports: Vec<String>,
    /// `--use-spot` and `--no-use-spot`
    pub use_spot: Option<bool>,
}

/// Without the values of the secrets.
impl fmt::Debug for TaskOverrides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secrets: Vec<&str> = self.secrets.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("TaskOverrides")
            .field("name", &self.name)
            .field("workdir", &self.workdir)
            .field("git_url", &self.git_url)
            .field("git_ref", &self.git_ref)
            .field("num_nodes", &self.num_nodes)
            .field("envs", &self.envs)
            .field("secrets", &secrets)
            .field("resources", &self.resources)
            .finish()
    }
}
