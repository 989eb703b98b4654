//! Task fields given as command-line flags.

/// Values of the shared task flags, as the user typed them. `none` resets a field to its default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskOverrides {
    /// `--name`
    pub name: Option<String>,
    /// `--workdir`
    pub workdir: Option<String>,
    /// `--cpus`
    pub cpus: Option<String>,
    /// `--memory`
    pub memory: Option<String>,
    /// `--image-id`
    pub image_id: Option<String>,
    /// `--infra`
    pub infra: Option<String>,
    /// `--env-file` and `--env`, later ones win.
    pub envs: Vec<(String, String)>,
}
