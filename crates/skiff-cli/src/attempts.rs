//! How often a launch is tried for which there is no room: with each candidate once, or until there is room.

use std::time::Duration;

use skiff_proto::ExitStatus;
use skiff_schema::ResolvedTask;

use crate::error::CommandError;
use crate::setup::Setup;

/// The pause before all candidates are tried again.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The tries of one launch.
pub(crate) struct Attempts<'a> {
    setup: &'a Setup,
    candidates: usize,
    until_up: bool,
    pause: Duration,
    /// The candidate that is next.
    pub(crate) from: usize,
}

impl<'a> Attempts<'a> {
    pub(crate) fn new(setup: &'a Setup, task: &ResolvedTask, until_up: bool) -> Self {
        Self {
            setup,
            candidates: task.resources.len(),
            until_up,
            pause: FIRST_PAUSE,
            from: 0,
        }
    }

    /// Goes on after a candidate for which there was no room, or gives its error back.
    pub(crate) async fn failed(
        &mut self,
        index: usize,
        error: CommandError,
    ) -> Result<(), CommandError> {
        if index + 1 == self.candidates {
            return self.again(error).await;
        }
        let why = error.message();
        let printer = self.setup.printer;
        printer.note(&format!("note: {why}; trying the next candidate"));
        self.from = index + 1;
        Ok(())
    }

    /// Begins again after no candidate would do, or gives the error back.
    pub(crate) async fn again(&mut self, error: CommandError) -> Result<(), CommandError> {
        if !self.until_up {
            return Err(error);
        }
        let (why, seconds) = (error.message(), self.pause.as_secs());
        let printer = self.setup.printer;
        printer.note(&format!(
            "note: {why}; trying again in {seconds} s, until there is room or Ctrl-C"
        ));
        let waiting = tokio::time::sleep(self.pause);
        if self.setup.interrupt.unless(waiting).await.is_none() {
            return Err(CommandError::Failed {
                error: "interrupted while there was no room".into(),
                hint: None,
                exit: ExitStatus::Interrupted,
            });
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.from = 0;
        Ok(())
    }
}
