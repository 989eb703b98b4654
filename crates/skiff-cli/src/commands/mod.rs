//! The commands, one file each: arguments in, use case called, result printed.

pub(crate) mod cancel;
pub(crate) mod completion;
pub(crate) mod down;
pub(crate) mod exec;
pub(crate) mod launch;
pub(crate) mod local;
pub(crate) mod logs;
pub(crate) mod queue;
pub(crate) mod render;
pub(crate) mod status;

use skiff_engine::Outcome;
use skiff_proto::ExitStatus;

use crate::cli::Command;
use crate::error::CommandError;
use crate::printer::Printer;
use crate::setup::Setup;

/// Runs one command. Those that have something to undo watch for the interrupt themselves; the others just stop.
pub(crate) async fn run(command: Command, setup: &Setup) -> Result<ExitStatus, CommandError> {
    let simple = async {
        match command {
            Command::Launch(args) => return launch::run(args, setup).await,
            Command::Exec(args) => return exec::run(args, setup).await,
            Command::Logs(args) => return logs::run(args, setup).await,
            Command::Queue(args) => queue::run(args, setup).await,
            Command::Status(args) => status::run(args, setup).await,
            Command::Cancel(args) => cancel::run(args, setup).await,
            Command::Down(args) => down::run(args, setup).await,
            Command::Render(args) => render::run(args, setup).await,
            Command::Local(args) => local::run(args, setup).await,
            Command::Completion(args) => {
                completion::run(&args, setup.printer);
                Ok(())
            }
        }
        .map(|()| ExitStatus::Success)
    };
    Box::pin(simple).await
}

/// What is left to say when a job's output has ended, and the exit code for it.
pub(crate) fn conclude(outcome: &Outcome, cluster: &str, printer: Printer) -> ExitStatus {
    match outcome {
        Outcome::Read(job) => {
            if let Some(cause) = &job.cause {
                printer.note(&format!("job {} {}: {cause}", job.id, job.status));
            }
            job.status.into()
        }
        Outcome::Interrupted(job) => {
            printer.note(&format!(
                "\nThe job goes on. To see it again: skiff logs {cluster} {id}   To end it: skiff cancel {cluster} {id}",
                id = job.id
            ));
            ExitStatus::Interrupted
        }
    }
}
