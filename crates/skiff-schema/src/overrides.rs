//! From a task as written, with flags on top, to a task with every value final.

use indexmap::IndexMap;

use crate::faults::{Fault, Faults};
use crate::quantity::{Cpus, GIGABYTE, Memory, NotAnAmount};
use crate::resources::parse_image;
use crate::task::is_variable_name;
use crate::{Infra, ResolvedResources, ResolvedTask, Resources, Secrets, Task, Workdir};

/// CPUs of a task that asks for none.
const DEFAULT_MILLI_CPU: u64 = 2000;
/// Memory of a task that asks for none, for each CPU.
const DEFAULT_MEMORY: Memory = Memory::PerCpu { bytes: GIGABYTE };

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

impl Task {
    /// Applies command-line flags, fills in defaults and checks what only then can be checked.
    pub fn resolve(&self, overrides: &TaskOverrides) -> Result<ResolvedTask, Faults> {
        let mut faults = Vec::new();
        let name = overrides.name.clone().or_else(|| self.name.clone());
        self.check_name(name.as_deref(), overrides, &mut faults);
        let resources = overrides.apply_to(&self.resources, &mut faults);
        let milli_cpu = resources.cpus.map_or(DEFAULT_MILLI_CPU, |cpus| cpus.milli);
        let memory = resources
            .memory
            .unwrap_or(DEFAULT_MEMORY)
            .bytes_for(milli_cpu);
        if memory.is_none() {
            let fault = Fault::new("`resources.memory` is more than any node has");
            faults.push(
                self.places
                    .memory
                    .map_or(fault.clone(), |span| fault.at(span, "")),
            );
        }
        let envs = self.resolve_envs(&overrides.envs, &mut faults);
        if !faults.is_empty() {
            return Err(match &self.places.source {
                Some(source) => Faults::of(source, faults),
                None => Faults::of_flags(faults),
            });
        }
        let workdir = overrides.workdir.clone().or_else(|| self.workdir.clone());
        let resources = ResolvedResources {
            milli_cpu,
            memory_bytes: memory.unwrap_or_default(),
            image: resources.image_id,
            infra: resources.infra,
            ..ResolvedResources::default()
        };
        Ok(ResolvedTask {
            name,
            num_nodes: self.num_nodes,
            resources: vec![resources],
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
            remarks: Vec::new(),
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

impl TaskOverrides {
    fn apply_to(&self, written: &Resources, faults: &mut Vec<Fault>) -> Resources {
        let amount = |path: &'static str| move |error: NotAnAmount| error.of(path);
        let cpus = |text: &str| Cpus::parse(text).map_err(amount("--cpus"));
        let memory = |text: &str| Memory::parse(text).map_err(amount("--memory"));
        let image = |text: &str| parse_image("--image-id", text);
        let infra = |text: &str| Infra::parse("--infra", text);
        Resources {
            cpus: flag(self.cpus.as_deref(), written.cpus, cpus, faults),
            memory: flag(self.memory.as_deref(), written.memory, memory, faults),
            image_id: flag(
                self.image_id.as_deref(),
                written.image_id.clone(),
                image,
                faults,
            ),
            infra: flag(self.infra.as_deref(), written.infra.clone(), infra, faults),
        }
    }
}

/// A flag's value, None where it says `none`, what the file says where there is no flag.
fn flag<T>(
    text: Option<&str>,
    written: Option<T>,
    parse: impl Fn(&str) -> Result<T, Fault>,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    let Some(text) = text else { return written };
    if text.eq_ignore_ascii_case("none") {
        return None;
    }
    parse(text).map_err(|fault| faults.push(fault)).ok()
}

/// `[a-zA-Z0-9]+(?:[._-]{1,2}[a-zA-Z0-9]+)*`
fn is_task_name(name: &str) -> bool {
    let is_joint = |char: char| matches!(char, '.' | '_' | '-');
    let is_plain = |char: char| char.is_ascii_alphanumeric();
    let ends_plain = name.ends_with(is_plain) && name.starts_with(is_plain);
    let longest_joint = name.split(is_plain).map(str::len).max().unwrap_or(0);
    ends_plain && longest_joint <= 2 && name.chars().all(|char| is_joint(char) || is_plain(char))
}
