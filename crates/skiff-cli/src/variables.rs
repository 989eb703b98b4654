//! Variables and secrets from the command line, from env files and from this environment.
//!
//! Must not put the value of a secret into a message or into `Debug`.

use std::fmt;
use std::path::PathBuf;

use clap::Args;

use crate::error::CommandError;
use crate::{dotenv, files};

/// What the command line says of a task's variables.
#[derive(Debug, Args)]
#[command(next_help_heading = "Variables")]
pub(crate) struct VariableArgs {
    /// A variable of setup and run: `NAME=VALUE`, or `NAME` to take it from the environment
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<Variable>,
    /// A dotenv file of variables; `--env` wins over it. What the task declares in `secrets` becomes a secret
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// A variable whose value shows nowhere; `NAME` alone takes it from the environment, past the shell's history
    #[arg(long, value_name = "NAME[=VALUE]")]
    secret: Vec<Variable>,
    /// A dotenv file of secrets; `--secret` wins over it
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

/// One variable of a flag.
#[derive(Clone)]
struct Variable {
    name: String,
    value: Option<String>,
}

impl From<String> for Variable {
    fn from(text: String) -> Self {
        match text.split_once('=') {
            Some((name, value)) => Self {
                name: name.to_owned(),
                value: Some(value.to_owned()),
            },
            None => Self {
                name: text,
                value: None,
            },
        }
    }
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Names and values in order: of one that is there twice the later counts.
type Pairs = Vec<(String, String)>;

/// All variables of the command line, with their values.
#[derive(Clone, Default)]
pub(crate) struct Variables {
    env_file: Pairs,
    env: Pairs,
    secrets: Pairs,
}

impl VariableArgs {
    /// Reads the files, and this environment for what has no value.
    pub(crate) fn read(&self) -> Result<Variables, CommandError> {
        let mut secrets = read_file(self.secret_file.as_ref())?;
        secrets.extend(valued("--secret", &self.secret)?);
        Ok(Variables {
            env_file: read_file(self.env_file.as_ref())?,
            env: valued("--env", &self.env)?,
            secrets,
        })
    }
}

impl Variables {
    /// Envs and secrets for a task with these secrets: a value of the env file goes to where the task declares it.
    pub(crate) fn for_task(&self, is_secret: impl Fn(&str) -> bool) -> (Pairs, Pairs) {
        let (mut secrets, mut envs): (Pairs, Pairs) = self
            .env_file
            .iter()
            .cloned()
            .partition(|(name, _)| is_secret(name));
        envs.extend(self.env.iter().cloned());
        secrets.extend(self.secrets.iter().cloned());
        (envs, secrets)
    }
}

fn read_file(path: Option<&PathBuf>) -> Result<Pairs, CommandError> {
    let Some(path) = path else {
        return Ok(Vec::new());
    };
    let text = files::read_text(path)?;
    dotenv::parse(&text, |name| std::env::var(name).ok()).map_err(|malformed| {
        CommandError::failure(
            format!("{}: {malformed}", path.display()),
            Some("values with several lines go into quotes".to_owned()),
        )
    })
}

/// Flags with their values, from this environment where they have none.
fn valued(flag: &str, variables: &[Variable]) -> Result<Pairs, CommandError> {
    let valued = |variable: &Variable| {
        let name = variable.name.clone();
        let value = match &variable.value {
            Some(value) => value.clone(),
            None => std::env::var(&name).map_err(|_| not_set(flag, &name))?,
        };
        Ok((name, value))
    };
    variables.iter().map(valued).collect()
}

fn not_set(flag: &str, name: &str) -> CommandError {
    CommandError::usage(
        format!("{flag} {name}: the variable is not set in this environment"),
        Some(format!(
            "export {name} first, or give it a value: {flag} {name}=…"
        )),
    )
}

/// A command line as it may be recorded: without the values of secrets.
pub(crate) fn without_secrets(words: impl Iterator<Item = String>) -> String {
    let mut is_secret = false;
    let masked = words.map(|word| {
        let (flag, pair) = match word.strip_prefix("--secret=") {
            Some(pair) => ("--secret=", pair),
            None if is_secret => ("", word.as_str()),
            None => {
                is_secret = word == "--secret";
                return word;
            }
        };
        is_secret = false;
        match pair.split_once('=') {
            Some((name, _)) => format!("{flag}{name}=***"),
            None => word,
        }
    });
    masked.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(line: &str) -> String {
        without_secrets(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn the_recorded_command_line_has_no_values_of_secrets() {
        assert_eq!(
            recorded("launch --secret A=x=y --env B=2 --secret=C=z --secret D task.yaml"),
            "launch --secret A=*** --env B=2 --secret=C=*** --secret D task.yaml"
        );
        assert_eq!(recorded("launch --secret"), "launch --secret");
        assert_eq!(
            recorded("launch --secret --secret=A=b"),
            "launch --secret --secret=A=***"
        );
    }

    #[test]
    fn debug_output_shows_names_alone() {
        let shown = format!("{:?}", Variable::from("TOKEN=hunter2".to_owned()));
        assert_eq!(shown, "TOKEN");
    }

    #[test]
    fn values_of_the_env_file_go_to_where_the_task_declares_them() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let variables = Variables {
            env_file: vec![pair("PLAIN", "1"), pair("TOKEN", "2")],
            env: vec![pair("PLAIN", "3")],
            secrets: vec![pair("TOKEN", "4")],
        };
        let (envs, secrets) = variables.for_task(|name| name == "TOKEN");
        assert_eq!(envs, [pair("PLAIN", "1"), pair("PLAIN", "3")]);
        assert_eq!(secrets, [pair("TOKEN", "2"), pair("TOKEN", "4")]);
    }
}
