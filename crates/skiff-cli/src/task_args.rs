//! The flags that every command with a task takes, and the way from them to a resolved task.

use std::path::{Path, PathBuf};

use clap::Args;
use skiff_schema::{ResolvedTask, Task, TaskOverrides};

use crate::error::CommandError;

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
    #[arg(long, help_heading = "Task")]
    workdir: Option<String>,
    /// Where to run: `k8s`, or `k8s/CONTEXT`
    #[arg(long, help_heading = "Task")]
    infra: Option<String>,
    /// CPUs: `4`, `0.5`
    #[arg(long, help_heading = "Task")]
    cpus: Option<String>,
    /// Memory in GB: `16`, `512MB`
    #[arg(long, help_heading = "Task")]
    memory: Option<String>,
    /// Container image: `docker:python:3.12`
    #[arg(long, help_heading = "Task")]
    image_id: Option<String>,
    /// A variable: `NAME=VALUE`, or `NAME` to take it from the environment
    #[arg(long, help_heading = "Task", value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// A file of `NAME=VALUE` lines
    #[arg(long, help_heading = "Task", value_name = "FILE")]
    env_file: Option<PathBuf>,
}

impl TaskArgs {
    /// Reads the task and applies the flags.
    pub(crate) fn resolve(&self) -> Result<ResolvedTask, CommandError> {
        let task = match self.file()? {
            Some(path) => read(&path)?,
            None if self.entrypoint.is_empty() => {
                Task::read("task", "{}\n").map_err(CommandError::from)?
            }
            None => Task::from_command(&self.entrypoint.join(" ")),
        };
        let overrides = TaskOverrides {
            name: self.name.clone(),
            workdir: self.workdir.clone(),
            cpus: self.cpus.clone(),
            memory: self.memory.clone(),
            image_id: self.image_id.clone(),
            infra: self.infra.clone(),
            envs: self.envs()?,
        };
        Ok(task.resolve(&overrides)?)
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
        let yaml = path
            .extension()
            .is_some_and(|ending| ending == "yaml" || ending == "yml");
        if yaml && !only.contains(char::is_whitespace) && !path.is_file() {
            return Err(CommandError::usage(
                format!("there is no file {only}"),
                Some("a task file is named by its path; a command that ends like one goes after `bash -c`".to_owned()),
            ));
        }
        Ok(yaml.then(|| path.to_owned()))
    }

    /// The variables of the command line, those of the file first.
    fn envs(&self) -> Result<Vec<(String, String)>, CommandError> {
        let mut envs = Vec::new();
        if let Some(path) = &self.env_file {
            let text = std::fs::read_to_string(path).map_err(|error| {
                CommandError::failure(format!("cannot read {}: {error}", path.display()), None)
            })?;
            for (number, line) in text.lines().enumerate() {
                envs.extend(env_line(line).map_err(|line| {
                    let place = format!("{}:{}", path.display(), number + 1);
                    CommandError::failure(format!("{place}: `{line}` is not NAME=VALUE"), None)
                })?);
            }
        }
        for given in &self.env {
            let pair = match given.split_once('=') {
                Some((name, value)) => (name.to_owned(), value.to_owned()),
                None => (given.clone(), own_variable(given)?),
            };
            envs.push(pair);
        }
        Ok(envs)
    }
}

/// A variable of this environment that the task is to have.
fn own_variable(name: &str) -> Result<String, CommandError> {
    std::env::var(name).map_err(|_| {
        let message = format!("--env {name}: the variable is not set in this environment");
        CommandError::usage(message, Some(format!("give it a value: --env {name}=…")))
    })
}

fn read(path: &Path) -> Result<Task, CommandError> {
    let bytes = std::fs::read(path).map_err(|error| {
        CommandError::failure(format!("cannot read {}: {error}", path.display()), None)
    })?;
    Ok(Task::read_bytes(&path.display().to_string(), &bytes)?)
}

/// One line of an env file: comments and empty lines give nothing, `export` and quotes are shed.
fn env_line(line: &str) -> Result<Option<(String, String)>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (name, value) = line
        .strip_prefix("export ")
        .unwrap_or(line)
        .split_once('=')
        .ok_or(line)?;
    let value = value.trim();
    let quoted = |quote: char| {
        value
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote))
    };
    let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
    Ok(Some((name.trim().to_owned(), value.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_lines_are_read_as_dotenv_files_write_them() {
        let pair = |name: &str, value: &str| Ok(Some((name.to_owned(), value.to_owned())));
        assert_eq!(env_line("A=1"), pair("A", "1"));
        assert_eq!(
            env_line(" export B = \"two words\" "),
            pair("B", "two words")
        );
        assert_eq!(env_line("C='x=y'"), pair("C", "x=y"));
        assert_eq!(env_line("D="), pair("D", ""));
        assert_eq!(env_line("# note"), Ok(None));
        assert_eq!(env_line("nonsense"), Err("nonsense".to_owned()));
    }
}
