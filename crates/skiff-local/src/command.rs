//! Short-lived external commands: run to the end, output kept, failure told with what it printed.
//!
//! Components that stay are started by [`crate::process`].

use std::{
    ffi::{OsStr, OsString},
    io,
    path::Path,
    process::{ExitStatus, Stdio},
};

use thiserror::Error;
use tokio::{io::AsyncWriteExt, process::Command};

/// An external command did not do its work.
#[derive(Debug, Error)]
pub enum CommandError {
    /// It could not be started or spoken to.
    #[error("cannot run {program}")]
    Start {
        /// The executable.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended with an error.
    #[error("`{command}` failed ({status}): {output}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The last of what it printed.
        output: String,
    },
}

/// A command line under construction.
pub(crate) struct Invocation {
    program: OsString,
    arguments: Vec<OsString>,
}

impl Invocation {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
        }
    }

    pub(crate) fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.arguments
            .extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Runs it with nothing on its input and returns its output.
    pub(crate) async fn run(self) -> Result<String, CommandError> {
        self.run_with(Stdio::null(), None).await
    }

    /// Runs it with a text as its input.
    pub(crate) async fn run_with_text(self, text: &str) -> Result<String, CommandError> {
        self.run_with(Stdio::piped(), Some(text)).await
    }

    /// Runs it with a file as its input.
    pub(crate) async fn run_with_file(self, path: &Path) -> Result<String, CommandError> {
        let file = std::fs::File::open(path).map_err(|source| CommandError::Start {
            program: format!("{} on {}", self.program.display(), path.display()),
            source,
        })?;
        self.run_with(file.into(), None).await
    }

    async fn run_with(self, stdin: Stdio, text: Option<&str>) -> Result<String, CommandError> {
        let start = |source| CommandError::Start {
            program: self.program.display().to_string(),
            source,
        };
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(start)?;
        if let (Some(mut pipe), Some(text)) = (child.stdin.take(), text) {
            // A command that ends without reading tells more by its exit than by this error.
            let _ = pipe.write_all(text.as_bytes()).await;
        }
        let output = child.wait_with_output().await.map_err(start)?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        if output.status.success() {
            return Ok(stdout.into_owned());
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        let said = if stderr.trim().is_empty() {
            stdout.trim()
        } else {
            stderr.trim()
        };
        Err(CommandError::Failed {
            command: self.line(),
            status: output.status,
            output: last_lines(said, 5),
        })
    }

    fn line(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.arguments);
        words
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// The last `count` lines of a text.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn output_and_input_pass() {
        let out = Invocation::new("cat").run_with_text("hello").await.unwrap();
        assert_eq!(out, "hello");
    }

    #[tokio::test]
    async fn a_failure_repeats_what_the_command_said() {
        let script = "echo one >&2; echo two >&2; exit 3";
        let error = Invocation::new("sh")
            .args(["-c", script])
            .run()
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("exit status: 3") && text.ends_with("one\ntwo"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let error = Invocation::new("/nonexistent/tool")
            .run()
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "cannot run /nonexistent/tool");
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        assert_eq!(last_lines("a\nb\nc", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
    }
}
