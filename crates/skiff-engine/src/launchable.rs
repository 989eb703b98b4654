//! What of the language this version can carry out: refused before anything is created, or noted.
//!
//! Pure: a task and its configuration in, words out.

use std::fmt;

use skiff_schema::{FileKind, FileMount, ResolvedResources, ResolvedTask, Task, TaskFile};
use thiserror::Error;

/// How many paths of a long list are named.
const NAMED: usize = 3;

/// A task that is well-formed, and that this version cannot run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotLaunchable {
    /// The file holds several tasks.
    #[error("the file holds {count} tasks: {what}")]
    SeveralTasks {
        /// How many.
        count: usize,
        /// What they are together.
        what: &'static str,
    },
    /// The task asks for what is not there.
    #[error("{}", Told(.0))]
    Unsupported(Vec<Obstacle>),
}

/// One thing that a task asks for in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// What it is: a fragment that names the field.
    what: String,
    /// What to do about it.
    fix: String,
}

/// One obstacle as it is, several as a list with their fixes.
struct Told<'a>(&'a [Obstacle]);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0 {
            return f.write_str(&only.what);
        }
        write!(
            f,
            "the task asks for {} things that this version of Skiff does not do:",
            self.0.len()
        )?;
        for obstacle in self.0 {
            write!(f, "\n  {}\n      {}", obstacle.what, obstacle.fix)?;
        }
        Ok(())
    }
}

impl NotLaunchable {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::SeveralTasks { .. } => Some(
                "put the task that you want into a file of its own; pipelines and job groups are for \
                 `sky jobs launch`, which this version of Skiff has no counterpart of"
                    .to_owned(),
            ),
            Self::Unsupported(obstacles) => match obstacles.as_slice() {
                [only] => Some(only.fix.clone()),
                _ => None,
            },
        }
    }
}

/// The one task of a file that holds one.
pub fn only_task(file: &TaskFile) -> Result<&Task, NotLaunchable> {
    match file.tasks() {
        [task] => Ok(task),
        tasks => Err(NotLaunchable::SeveralTasks {
            count: tasks.len(),
            what: match file.kind() {
                FileKind::JobGroup(_) => "a job group",
                FileKind::Single | FileKind::Pipeline { .. } => "a pipeline",
            },
        }),
    }
}

/// Whether a task can become a cluster with its first resources; then what of it will not be acted on.
pub fn launchable(task: &ResolvedTask) -> Result<Vec<String>, NotLaunchable> {
    let mut obstacles = Obstacles::default();
    obstacles.roles(task);
    obstacles.accelerators(task);
    obstacles.job(task);
    obstacles.files(task);
    obstacles.end()?;
    Ok(notes(task))
}

/// Whether a task can run on a cluster that is there: its setup, files and volumes are left out anyway.
pub fn executable(task: &ResolvedTask) -> Result<(), NotLaunchable> {
    let mut obstacles = Obstacles::default();
    obstacles.job(task);
    obstacles.end()
}

/// What has been found.
#[derive(Default)]
struct Obstacles(Vec<Obstacle>);

impl Obstacles {
    fn add(&mut self, what: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Obstacle {
            what: what.into(),
            fix: fix.into(),
        });
    }

    fn end(self) -> Result<(), NotLaunchable> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(NotLaunchable::Unsupported(self.0))
        }
    }

    /// What is more than a cluster.
    fn roles(&mut self, task: &ResolvedTask) {
        if task.service.is_some() {
            self.add(
                "`service`: the file describes a service of replicas",
                "services are for `sky serve up`, which this version of Skiff has no counterpart of; \
                 without `service`, the file launches one replica",
            );
        }
        if task.pool.is_some() {
            self.add(
                "`pool`: the file describes a pool of workers",
                "pools are for `sky jobs pool apply`, which this version of Skiff has no counterpart of",
            );
        }
    }

    /// What a pod would have to bring. Whether an existing one has it, its agent knows.
    fn accelerators(&mut self, task: &ResolvedTask) {
        if let Some(accelerators) = &task.first().accelerators {
            self.add(
                format!("`resources.accelerators` asks for {accelerators}: this version of Skiff brings no GPUs into pods"),
                "`--gpus none` runs the task without",
            );
        }
    }

    /// What a job needs of its user.
    fn job(&mut self, task: &ResolvedTask) {
        let managed: Vec<&str> = task
            .managed_secrets
            .iter()
            .map(|secret| secret.name.as_str())
            .collect();
        if let [first, ..] = managed.as_slice() {
            self.add(
                format!("nobody keeps the values of the secrets {}", listed(&managed)),
                format!("give them: `--secret {first}` takes one from the environment, `--secret-file` all from a file"),
            );
        }
    }

    /// What appears in the pod beside the workdir.
    fn files(&mut self, task: &ResolvedTask) {
        // Addresses and paths are not quoted: variables in them may have been secrets.
        let remote = |mount: &FileMount| !matches!(mount, FileMount::Local(_));
        if task.file_mounts.values().any(remote) {
            self.add(
                "`file_mounts` names buckets or addresses: this version of Skiff syncs local files and folders only",
                "fetch them in `setup`, with the tools and rights of the image",
            );
        }
        if !task.volumes.is_empty() {
            self.add(
                "`volumes` is not there in this version of Skiff",
                "`config.kubernetes.pod_config` mounts a volume claim that exists: `spec.volumes`, and \
                 `volumeMounts` of the container `ray-node`",
            );
        }
    }
}

/// What is read and changes nothing.
fn notes(task: &ResolvedTask) -> Vec<String> {
    let mut notes: Vec<String> = ignored(task).into_iter().collect();
    let resources = task.first();
    if let [first, ..] = resources.ports.as_slice() {
        let ports: Vec<String> = resources.ports.iter().map(ToString::to_string).collect();
        notes.push(format!(
            "ports are not opened yet ({}): `kubectl port-forward POD {}` reaches one from here",
            listed(&ports),
            first.first
        ));
    }
    if resources.use_spot {
        notes.push("use_spot is not acted on yet: the pod may run on any node".to_owned());
    }
    if is_best_network(resources) {
        notes.push(
            "network_tier best is not acted on yet: the pod gets the ordinary network".to_owned(),
        );
    }
    notes
}

/// One line on all that Kubernetes has no use for.
fn ignored(task: &ResolvedTask) -> Option<String> {
    let mut fields: Vec<String> = Vec::new();
    for remark in &task.remarks {
        let field = format!("{} ({})", remark.path, remark.why);
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    (!fields.is_empty()).then(|| format!("ignored on Kubernetes: {}", fields.join(", ")))
}

fn is_best_network(resources: &ResolvedResources) -> bool {
    let tier = resources.others.get("network_tier");
    tier.and_then(|tier| tier.as_str())
        .is_some_and(|tier| tier.eq_ignore_ascii_case("best"))
}

/// The first of these, and how many more there are.
fn listed(all: &[impl AsRef<str>]) -> String {
    let first: Vec<&str> = all.iter().take(NAMED).map(AsRef::as_ref).collect();
    let (text, more) = (first.join(", "), all.len() - first.len());
    if more == 0 {
        text
    } else {
        format!("{text} and {more} more")
    }
}
