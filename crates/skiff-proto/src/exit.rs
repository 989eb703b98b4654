//! Process exit codes of the CLI, as SkyPilot documents and behaves.

use crate::JobStatus;

/// What a Skiff command tells its shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// The command did what was asked (0).
    Success,
    /// The command failed: unavailable resources, an API error, bad input (1).
    Failure,
    /// The command line is wrong (2).
    Usage,
    /// The job ended FAILED, `FAILED_SETUP` or `FAILED_DRIVER` (100).
    JobFailed,
    /// The job has not ended (101).
    JobNotFinished,
    /// There is no such job (102).
    JobNotFound,
    /// The job was cancelled (103).
    JobCancelled,
    /// Ctrl-C (130).
    Interrupted,
}

impl ExitStatus {
    /// The number for `exit(2)`.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::JobFailed => 100,
            Self::JobNotFinished => 101,
            Self::JobNotFound => 102,
            Self::JobCancelled => 103,
            Self::Interrupted => 130,
        }
    }
}

impl From<JobStatus> for ExitStatus {
    fn from(status: JobStatus) -> Self {
        match status {
            JobStatus::Succeeded => Self::Success,
            JobStatus::Failed | JobStatus::FailedSetup | JobStatus::FailedDriver => Self::JobFailed,
            JobStatus::Cancelled => Self::JobCancelled,
            JobStatus::Init | JobStatus::Pending | JobStatus::SettingUp | JobStatus::Running => {
                Self::JobNotFinished
            }
        }
    }
}
