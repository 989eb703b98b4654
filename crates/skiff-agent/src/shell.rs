//! Which shell runs a job's scripts, and how: `bash -i` where the image has bash, as `SkyPilot`
//! does it, so that `~/.bashrc` counts; else `sh`.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::layout::Layout;

/// What bash reads before a job's script.
///
/// An interactive bash without a terminal complains of that on standard error before it reads any
/// file: standard error is closed until here, so that the log begins with the job's own words. An
/// interactive bash ignores SIGTERM, expands `!` and writes a history: a job wants none of these.
const START: &str = "\
exec 2>&1
trap 'exit 143' TERM
if [ -f ~/.bashrc ]; then . ~/.bashrc; fi
set +o history +o histexpand
unset HISTFILE
if [ \"$EUID\" = 0 ] && ! command -v sudo >/dev/null; then alias sudo=''; fi
";

/// The shell that the image has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shell {
    /// Bash, by its path.
    Bash(PathBuf),
    /// Any shell, by its path.
    Plain(PathBuf),
}

impl Shell {
    /// Looks for bash, then for `sh`, in the usual place and on this search path.
    pub(crate) fn find(path: Option<&OsString>) -> Option<Self> {
        let find = |name: &str| {
            let usual = Path::new("/bin").join(name);
            let elsewhere = path.map(std::env::split_paths).into_iter().flatten();
            std::iter::once(usual)
                .chain(elsewhere.map(|dir| dir.join(name)))
                .find(|file| file.is_absolute() && file.is_file())
        };
        find("bash")
            .map(Self::Bash)
            .or_else(|| find("sh").map(Self::Plain))
    }

    /// Writes the file that [`Shell::command`] refers to.
    pub(crate) fn prepare(layout: &Layout) -> io::Result<()> {
        fs::write(layout.shell_start(), START)
    }

    /// The command that runs a script in a session of its own, with its output to this pipe.
    pub(crate) fn command(
        &self,
        layout: &Layout,
        script: &Path,
        output: io::PipeWriter,
    ) -> io::Result<Command> {
        let mut command = Command::new("/proc/self/exe");
        command.arg("session").stdin(Stdio::null());
        match self {
            Self::Bash(bash) => {
                command
                    .arg(bash)
                    .arg("--rcfile")
                    .arg(layout.shell_start())
                    .arg("-i");
                command.stderr(Stdio::null());
            }
            Self::Plain(shell) => {
                command.arg(shell).stderr(output.try_clone()?);
            }
        }
        command.arg(script).stdout(output);
        Ok(command)
    }
}
