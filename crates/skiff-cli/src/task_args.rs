//! The flags that every command with a task takes, and the way from them to resolved tasks.

use std::path::{Path, PathBuf};

use clap::Args;
use skiff_schema::{ResolvedTask, ResourceOverrides, Task, TaskFile, TaskOverrides};

use crate::error::CommandError;
use crate::files;
use crate::printer::Printer;
use crate::resource_args::ResourceArgs;
use crate::variables::{VariableArgs, Variables};

/// A task, and what the command line changes of it.
#[derive(Debug, Args)]
pub(crate) struct TaskArgs {
    /// A task YAML, or a bash command (put `--` before one that has flags of its own)
    #[arg(value_name = "YAML_OR_COMMAND")]
    entrypoint: Vec<String>,

    /// Name of the task
    #[arg(short, long, help_heading = "Task")]
    name: Option<String>,
    /// Folder that is synced to `~/sky_workdir`
    #[arg(long, help_heading = "Task", value_name = "FOLDER", conflicts_with_all = ["git_url", "git_ref"])]
    workdir: Option<String>,
    /// Git repository that becomes `~/sky_workdir`
    #[arg(long, help_heading = "Task", value_name = "URL")]
    git_url: Option<String>,
    /// Branch, tag or commit of the repository
    #[arg(long, help_heading = "Task", value_name = "REF")]
    git_ref: Option<String>,
    /// Number of nodes
    #[arg(long, help_heading = "Task", value_name = "NUMBER")]
    num_nodes: Option<String>,
    /// Configuration for this once: a file, or `KEY=VALUE` as in `kubernetes.enable_docker=true`; may be given
    /// several times
    #[arg(long, help_heading = "Task", value_name = "FILE_OR_KEY=VALUE")]
    config: Vec<String>,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    variables: VariableArgs,
}

/// A task file with the flags that change it.
pub(crate) struct Given<'a> {
    pub(crate) file: TaskFile,
    args: &'a TaskArgs,
    variables: Variables,
}

impl TaskArgs {
    /// Reads the task file, or makes one of the command, and reads the files of variables.
    pub(crate) fn read(&self) -> Result<Given<'_>, CommandError> {
        let file = match self.file()? {
            Some(path) => TaskFile::read_bytes(&path.display().to_string(), &files::read(&path)?)?,
            None if self.entrypoint.is_empty() => TaskFile::without_commands(),
            None => TaskFile::from_command(&self.entrypoint.join(" ")),
        };
        Ok(Given {
            file,
            args: self,
            variables: self.variables.read()?,
        })
    }

    /// Reads the one task that a launch or an exec runs.
    pub(crate) fn resolve(&self, priority: Option<&str>) -> Result<ResolvedTask, CommandError> {
        let given = self.read()?;
        let task = skiff_engine::only_task(&given.file)?;
        given.resolve(task, priority)
    }

    /// `--config`, in the order of the command line.
    pub(crate) fn config(&self) -> &[String] {
        &self.config
    }

    /// Whether the command line names neither a file nor a command.
    pub(crate) fn is_empty(&self) -> bool {
        self.entrypoint.is_empty()
    }

    /// The file that the only argument names: by its ending, so that a typo is no command.
    fn file(&self) -> Result<Option<PathBuf>, CommandError> {
        let [only] = self.entrypoint.as_slice() else {
            return Ok(None);
        };
        let path = Path::new(only);
        let yaml = files::is_yaml(path);
        if yaml && !only.contains(char::is_whitespace) && !path.is_file() {
            return Err(CommandError::usage(
                format!("there is no file {only}"),
                Some("a task file is named by its path; a command that ends like one goes after `bash -c`".to_owned()),
            ));
        }
        Ok(yaml.then(|| path.to_owned()))
    }
}

impl Given<'_> {
    /// Applies the flags to one task of the file.
    pub(crate) fn resolve(
        &self,
        task: &Task,
        priority: Option<&str>,
    ) -> Result<ResolvedTask, CommandError> {
        let (envs, secrets) = self.variables.for_task(|name| task.declares_secret(name));
        Ok(task.resolve(&TaskOverrides {
            name: self.args.name.clone(),
            workdir: self.args.workdir.clone(),
            git_url: self.args.git_url.clone(),
            git_ref: self.args.git_ref.clone(),
            num_nodes: self.args.num_nodes.clone(),
            envs,
            secrets,
            resources: self.args.resources.overrides(priority),
        })?)
    }

    /// Applies the flags to every task of the file. Those that can mean only one task change none of several.
    pub(crate) fn resolve_all(&self, printer: Printer) -> Result<Vec<ResolvedTask>, CommandError> {
        let tasks = self.file.tasks();
        if let [task] = tasks {
            return Ok(vec![self.resolve(task, None)?]);
        }
        if self.names_one_task() {
            printer.note(&format!(
                "note: the file has {} tasks: of the flags only those for variables and the workdir count",
                tasks.len()
            ));
        }
        let resolve = |task: &Task| {
            let (envs, secrets) = self.variables.for_task(|name| task.declares_secret(name));
            Ok(task.resolve(&TaskOverrides {
                workdir: self.args.workdir.clone(),
                git_url: self.args.git_url.clone(),
                git_ref: self.args.git_ref.clone(),
                envs,
                secrets,
                ..TaskOverrides::default()
            })?)
        };
        tasks.iter().map(resolve).collect()
    }

    fn names_one_task(&self) -> bool {
        self.args.name.is_some()
            || self.args.num_nodes.is_some()
            || self.args.resources.overrides(None) != ResourceOverrides::default()
    }
}
