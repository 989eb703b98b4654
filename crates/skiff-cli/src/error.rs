//! One error for all commands: what it says, what may help, and the exit code.

use std::error::Error;
use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use miette::{GraphicalReportHandler, GraphicalTheme};
use skiff_proto::ExitStatus;
use skiff_schema::Faults;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum CommandError {
    /// A file of the user's is wrong; every fault has its place.
    Faults(Box<Faults>),
    /// Anything else, with what the user can do about it.
    Failed {
        error: Box<dyn Error + Send + Sync>,
        hint: Option<String>,
        exit: ExitStatus,
    },
}

/// An error that knows what the user can do about it.
pub(crate) trait Hinted: Error + Send + Sync + 'static {
    fn hint(&self) -> Option<String>;

    fn exit(&self) -> ExitStatus {
        ExitStatus::Failure
    }
}

impl<E: Hinted> From<E> for CommandError {
    fn from(error: E) -> Self {
        Self::Failed {
            hint: error.hint(),
            exit: error.exit(),
            error: Box::new(error),
        }
    }
}

impl From<Faults> for CommandError {
    fn from(faults: Faults) -> Self {
        Self::Faults(Box::new(faults))
    }
}

macro_rules! hinted {
    ($($error:ty),* $(,)?) => {
        $(impl Hinted for $error {
            fn hint(&self) -> Option<String> {
                <$error>::hint(self)
            }
        })*
    };
}

hinted!(
    skiff_compile::CompileError,
    skiff_engine::AutostopError,
    skiff_engine::DownError,
    skiff_engine::NotLaunchable,
    skiff_engine::SshError,
    skiff_engine::VolumeError,
    skiff_kube::ApiError,
    skiff_kube::ContextError,
    skiff_local::DownError,
    skiff_local::LoadError,
    skiff_local::UpError,
);

impl Hinted for skiff_local::ControllerError {
    fn hint(&self) -> Option<String> {
        None
    }
}

impl Hinted for skiff_local::StatusError {
    fn hint(&self) -> Option<String> {
        None
    }
}

impl Hinted for skiff_engine::LaunchError {
    fn hint(&self) -> Option<String> {
        Self::hint(self)
    }

    fn exit(&self) -> ExitStatus {
        match self {
            Self::Interrupted { .. } | Self::NotUndone { .. } => ExitStatus::Interrupted,
            Self::Follow(error) => follow_exit(error),
            _ => ExitStatus::Failure,
        }
    }
}

impl Hinted for skiff_engine::StopError {
    fn hint(&self) -> Option<String> {
        Self::hint(self)
    }

    fn exit(&self) -> ExitStatus {
        match self {
            Self::Interrupted { .. } => ExitStatus::Interrupted,
            _ => ExitStatus::Failure,
        }
    }
}

impl Hinted for skiff_engine::JobError {
    fn hint(&self) -> Option<String> {
        Self::hint(self)
    }

    fn exit(&self) -> ExitStatus {
        match self {
            Self::Follow(error) => follow_exit(error),
            _ => ExitStatus::Failure,
        }
    }
}

impl Hinted for skiff_engine::FollowError {
    fn hint(&self) -> Option<String> {
        Self::hint(self)
    }

    fn exit(&self) -> ExitStatus {
        follow_exit(self)
    }
}

/// A job whose pod is gone has failed; one that does not exist has its own code.
fn follow_exit(error: &skiff_engine::FollowError) -> ExitStatus {
    use skiff_engine::FollowError;
    match error {
        FollowError::Gone { .. } | FollowError::Ended(_) => ExitStatus::JobFailed,
        FollowError::Interrupted => ExitStatus::Interrupted,
        error if error.is_job_not_found() => ExitStatus::JobNotFound,
        _ => ExitStatus::Failure,
    }
}

impl CommandError {
    /// A mistake on the command line, or something that only the user can set right.
    pub(crate) fn usage(message: impl Into<String>, hint: Option<String>) -> Self {
        Self::Failed {
            error: message.into().into(),
            hint,
            exit: ExitStatus::Usage,
        }
    }

    /// A failure outside of any use case, such as a file that cannot be read.
    pub(crate) fn failure(message: impl Into<String>, hint: Option<String>) -> Self {
        Self::Failed {
            error: message.into().into(),
            hint,
            exit: ExitStatus::Failure,
        }
    }

    pub(crate) fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Faults(_) => ExitStatus::Failure,
            Self::Failed { exit, .. } => *exit,
        }
    }

    /// What went wrong, with its causes, in one text without colours.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Faults(faults) => faults.to_string(),
            Self::Failed { error, .. } => told(error.as_ref()).join(": "),
        }
    }

    /// What the user can do about it.
    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            Self::Faults(_) => None,
            Self::Failed { hint, .. } => hint.as_deref(),
        }
    }

    /// The text for stderr; None where there is nothing to say.
    pub(crate) fn render(&self) -> Option<String> {
        match self {
            Self::Faults(faults) => Some(render_faults(faults)),
            Self::Failed { error, hint, .. } => {
                // The reader of our output went away, as `head` does: that is no trouble to report.
                let broken = chain(error.as_ref()).iter().any(|e| {
                    e.downcast_ref::<std::io::Error>()
                        .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
                });
                (!broken).then(|| render_chain(error.as_ref(), hint.as_deref()))
            }
        }
    }
}

/// Each fault with its place in the file, then how many they are.
fn render_faults(faults: &Faults) -> String {
    let watched = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let theme = if watched {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme);
    let mut text = String::new();
    for fault in faults {
        handler
            .render_report(&mut text, fault)
            .expect("a String takes every write");
        text.push('\n');
    }
    let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    let count = if faults.iter().len() == 1 {
        format!("{} has one fault", faults.name())
    } else {
        faults.to_string()
    };
    let _ = writeln!(text, "{red}error:{red:#} {count}");
    text
}

/// The error and its sources, the innermost last.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let mut chain = vec![error];
    let mut next: Option<&'a (dyn Error + 'static)> = error.source();
    while let Some(error) = next {
        chain.push(error);
        next = error.source();
    }
    chain
}

/// The error's and its sources' messages; foreign errors repeat their source, and once is enough.
pub(crate) fn told(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    for error in chain(error) {
        let message = error.to_string();
        if !messages.iter().any(|said| said.contains(&message)) {
            messages.push(message);
        }
    }
    messages
}

fn render_chain(error: &(dyn Error + 'static), hint: Option<&str>) -> String {
    let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    let cyan = Style::new().bold().fg_color(Some(AnsiColor::Cyan.into()));
    let mut text = String::new();
    for (depth, message) in told(error).into_iter().enumerate() {
        let label = if depth == 0 { "error" } else { "caused by" };
        let _ = writeln!(text, "{red}{label}:{red:#} {message}");
    }
    if let Some(hint) = hint {
        let _ = writeln!(text, "{cyan}hint:{cyan:#} {hint}");
    }
    text
}
