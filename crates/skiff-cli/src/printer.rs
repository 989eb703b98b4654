//! Where text goes: stdout is data, stderr is all the rest.

use std::io::{self, IsTerminal, Write};

/// Writes for a person or a program; colours vanish where they are not wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer;

#[expect(
    clippy::unused_self,
    reason = "whoever holds a printer may print, nobody else"
)]
impl Printer {
    /// A command's result. A reader that has gone away is no error of ours.
    pub(crate) fn data(self, text: &str) {
        let mut out = anstream::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// A job's own output, byte for byte.
    pub(crate) fn raw(self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    /// A line for the person at the terminal.
    pub(crate) fn note(self, text: &str) {
        let _ = writeln!(anstream::stderr().lock(), "{text}");
    }

    /// An error, rendered.
    pub(crate) fn error(self, text: &str) {
        let _ = writeln!(anstream::stderr().lock(), "{}", text.trim_end());
    }

    /// Whether somebody sees what goes to stderr as it comes.
    pub(crate) fn is_watched(self) -> bool {
        io::stderr().is_terminal()
    }

    /// Asks a yes-or-no question; None where nobody can answer.
    pub(crate) fn confirm(self, question: &str) -> Option<bool> {
        if !io::stdin().is_terminal() {
            return None;
        }
        let _ = write!(anstream::stderr().lock(), "{question} [Y/n]: ");
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).ok()?;
        Some(
            matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes")
                && answer.ends_with('\n'),
        )
    }
}
