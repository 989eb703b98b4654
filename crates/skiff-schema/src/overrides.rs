//! From a task as written, with flags on top, to a task with every value final.

use indexmap::IndexMap;

use crate::check::Findings;
use crate::faults::{Fault, Faults};
use crate::task::is_variable_name;
use crate::{ResolvedTask, Secrets, Task, Workdir};

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

impl Task {
    /// Applies command-line flags, fills in defaults and checks what only then can be checked.
    pub fn resolve(&self, overrides: &TaskOverrides) -> Result<ResolvedTask, Faults> {
        let mut faults = Vec::new();
        let name = overrides.name.clone().or_else(|| self.name.clone());
        self.check_name(name.as_deref(), overrides, &mut faults);
        let mut findings = Findings::default();
        let resources = self.resources.resolve(&overrides.resources, &mut findings);
        faults.append(&mut findings.faults);
        let envs = self.resolve_envs(&overrides.envs, &mut faults);
        if !faults.is_empty() {
            return Err(match &self.places.source {
                Some(source) => Faults::of(source, faults),
                None => Faults::of_flags(faults),
            });
        }
        let workdir = overrides.workdir.clone().or_else(|| self.workdir.clone());
        Ok(ResolvedTask {
            name,
            num_nodes: self.num_nodes,
            resources,
            envs,
            secrets: Secrets::default(),
            workdir: workdir.filter(|path| !path.is_empty()).map(Workdir::Folder),
            setup: self.setup.clone().filter(|text| !text.trim().is_empty()),
            run: self.run.clone().filter(|text| !text.trim().is_empty()),
            file_mounts: IndexMap::new(),
            volumes: IndexMap::new(),
            service: None,
            pool: None,
            config: self.config.clone(),
            managed_secrets: Vec::new(),
            others: IndexMap::new(),
            remarks: findings.remarks,
        })
    }

    fn check_name(&self, name: Option<&str>, overrides: &TaskOverrides, faults: &mut Vec<Fault>) {
        let Some(name) = name.filter(|name| !is_task_name(name)) else {
            return;
        };
        let fault = Fault::new(format!("`{name}` is not a valid name of a task"))
            .help("use letters and digits, joined by `.`, `_` or `-`");
        let place = self.places.name.filter(|_| overrides.name.is_none());
        faults.push(match place {
            Some(span) => fault.at(span, ""),
            None => fault,
        });
    }

    fn resolve_envs(
        &self,
        given: &[(String, String)],
        faults: &mut Vec<Fault>,
    ) -> IndexMap<String, String> {
        let mut envs = self.envs.clone();
        for (name, value) in given {
            if is_variable_name(name) {
                envs.insert(name.clone(), Some(value.clone()));
            } else {
                faults.push(Fault::new(format!(
                    "`--env`: `{name}` is not the name of a variable"
                )));
            }
        }
        let mut resolved = IndexMap::with_capacity(envs.len());
        for (name, value) in envs {
            if let Some(value) = value {
                resolved.insert(name, value);
                continue;
            }
            let fault = Fault::new(format!("the variable `{name}` has no value"))
                .help(format!("give it with `--env {name}=<value>`"));
            faults.push(match self.places.envs.get(&name) {
                Some(span) => fault.at(*span, "declared here"),
                None => fault,
            });
        }
        resolved
    }
}

/// `[a-zA-Z0-9]+(?:[._-]{1,2}[a-zA-Z0-9]+)*`
fn is_task_name(name: &str) -> bool {
    let is_joint = |char: char| matches!(char, '.' | '_' | '-');
    let is_plain = |char: char| char.is_ascii_alphanumeric();
    let ends_plain = name.ends_with(is_plain) && name.starts_with(is_plain);
    let longest_joint = name.split(is_plain).map(str::len).max().unwrap_or(0);
    ends_plain && longest_joint <= 2 && name.chars().all(|char| is_joint(char) || is_plain(char))
}

/// Without the values of the secrets.
impl std::fmt::Debug for TaskOverrides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
