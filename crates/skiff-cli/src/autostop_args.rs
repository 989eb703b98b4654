//! The flags that say when a cluster ends by itself.

use clap::{Args, ValueEnum};
use skiff_schema::{Autostop, ResolvedTask};

/// Fewer minutes would end a cluster before its first job.
const SHORTEST: u64 = 1;

/// What counts as work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum WaitForArg {
    /// Jobs that have not ended, and SSH sessions
    JobsAndSsh,
    /// Jobs that have not ended
    Jobs,
    /// Nothing: the time is a limit
    None,
}

impl WaitForArg {
    /// The word for it in tasks.
    fn word(self) -> &'static str {
        match self {
            Self::JobsAndSsh => "jobs_and_ssh",
            Self::Jobs => "jobs",
            Self::None => "none",
        }
    }
}

impl From<WaitForArg> for skiff_proto::WaitFor {
    fn from(arg: WaitForArg) -> Self {
        match arg {
            WaitForArg::JobsAndSsh => Self::JobsAndSsh,
            WaitForArg::Jobs => Self::Jobs,
            WaitForArg::None => Self::None,
        }
    }
}

/// What a launch says of it, over the task.
#[derive(Debug, Args)]
#[command(next_help_heading = "Autostop")]
pub(crate) struct AutostopArgs {
    /// End the cluster after so many minutes without work; less than 0: never
    #[arg(
        short = 'i',
        long,
        value_name = "MINUTES",
        allow_negative_numbers = true
    )]
    idle_minutes_to_autostop: Option<i64>,
    /// Take the cluster down when it has been idle: for 1 minute, where `-i` does not say how long
    #[arg(long)]
    down: bool,
    /// What counts as work: `jobs_and_ssh`, `jobs`, or `none`, which makes the time a limit
    #[arg(long, value_enum, hide_possible_values = true)]
    wait_for: Option<WaitForArg>,
}

impl AutostopArgs {
    /// Lays the flags over every candidate of the task.
    pub(crate) fn apply(&self, task: &mut ResolvedTask) {
        for resources in &mut task.resources {
            resources.autostop = self.over(resources.autostop.take());
        }
    }

    fn over(&self, written: Option<Autostop>) -> Option<Autostop> {
        let minutes = self.idle_minutes_to_autostop;
        if minutes.is_some_and(|minutes| minutes < 0) {
            return None;
        }
        let asks = minutes.is_some() || self.down;
        let mut autostop = match written {
            Some(written) => written,
            None if asks => Autostop {
                idle_minutes: SHORTEST,
                down: false,
                wait_for: WaitForArg::JobsAndSsh.word().to_owned(),
            },
            None => return None,
        };
        if let Some(minutes) = minutes.and_then(|minutes| u64::try_from(minutes).ok()) {
            autostop.idle_minutes = minutes.max(SHORTEST);
        }
        autostop.down |= self.down;
        if let Some(wait_for) = self.wait_for {
            wait_for.word().clone_into(&mut autostop.wait_for);
        }
        Some(autostop)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        autostop: AutostopArgs,
    }

    fn over(words: &str, written: Option<(u64, bool)>) -> Option<(u64, bool, String)> {
        let words = ["skiff"].into_iter().chain(words.split_whitespace());
        let written = written.map(|(idle_minutes, down)| Autostop {
            idle_minutes,
            down,
            wait_for: "jobs".to_owned(),
        });
        let over = Line::parse_from(words).autostop.over(written)?;
        Some((over.idle_minutes, over.down, over.wait_for))
    }

    #[test]
    fn flags_change_what_they_name_of_what_the_task_says() {
        let some = |minutes, down, word: &str| Some((minutes, down, word.to_owned()));
        assert_eq!(over("", None), None);
        assert_eq!(over("", Some((9, false))), some(9, false, "jobs"));
        assert_eq!(over("--down", None), some(1, true, "jobs_and_ssh"));
        assert_eq!(over("--down", Some((9, false))), some(9, true, "jobs"));
        assert_eq!(over("-i 0 --down", None), some(1, true, "jobs_and_ssh"));
        assert_eq!(over("-i 20", Some((9, true))), some(20, true, "jobs"));
        assert_eq!(over("-i -1", Some((9, true))), None);
        assert_eq!(over("--wait-for none", None), None);
        assert_eq!(
            over("--wait-for none", Some((9, true))),
            some(9, true, "none")
        );
    }
}
