//! `skiff`: launches tasks on Kubernetes. This crate is the terminal; it decides nothing about Kubernetes.

mod agent;
mod attempts;
mod autostop_args;
mod candidates;
mod cli;
mod cluster_args;
mod commands;
mod configuration;
mod dotenv;
mod environment;
mod error;
mod files;
mod printer;
mod progress;
mod resource_args;
mod setup;
mod ssh_config;
mod table;
mod task_args;
mod variables;

use std::cell::{Cell, RefCell};
use std::process::ExitCode;

use clap::Parser;
use skiff_engine::Interrupt;
use skiff_proto::ExitStatus;

use crate::cli::{Cli, ClusterCommand, Command};
use crate::environment::Environment;
use crate::error::CommandError;
use crate::printer::Printer;
use crate::setup::Setup;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let environment = Environment::read();
    start_logging(&environment);
    let printer = Printer;
    let result = match cli.command {
        Command::Cluster(command) => Ok(wait_for(*command, cli.context, environment, printer)),
        Command::Task(args) => commands::task::run(&args, &environment, printer),
        Command::Config(args) => commands::config::run(&args, cli.context, &environment, printer)
            .map(|()| ExitStatus::Success),
        Command::Completion(args) => {
            commands::completion::run(&args, printer);
            Ok(ExitStatus::Success)
        }
    };
    let status = result.unwrap_or_else(|error| report(&error, printer));
    ExitCode::from(status.code())
}

/// Runs a command that waits for others, until it ends or the user insists that it does.
fn wait_for(
    command: ClusterCommand,
    context: Option<String>,
    environment: Environment,
    printer: Printer,
) -> ExitStatus {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs only memory and an epoll instance");
    let status = runtime.block_on(async {
        let interrupt = Interrupt::default();
        let setup = Setup {
            environment,
            printer,
            interrupt: interrupt.clone(),
            context,
            has_warned: Cell::new(false),
            connected: RefCell::default(),
        };
        tokio::select! {
            result = commands::run(command, &setup) => match result {
                Ok(status) => {
                    setup.tidy().await;
                    status
                }
                Err(error) => report(&error, printer),
            },
            () = insisted(&interrupt) => ExitStatus::Interrupted,
        }
    });
    // A file that is still being read must not hold the command back.
    runtime.shutdown_background();
    status
}

fn report(error: &CommandError, printer: Printer) -> ExitStatus {
    if let Some(text) = error.render() {
        printer.error(&text);
    }
    error.exit_status()
}

/// Asks the command to end on the first Ctrl-C or SIGTERM and resolves on the second.
async fn insisted(interrupt: &Interrupt) {
    use tokio::signal::unix::{SignalKind, signal};
    let expectation = "signal handlers can be installed";
    let mut ctrl_c = signal(SignalKind::interrupt()).expect(expectation);
    let mut terminate = signal(SignalKind::terminate()).expect(expectation);
    for _ in 0..2 {
        tokio::select! {
            _ = ctrl_c.recv() => {}
            _ = terminate.recv() => {}
        }
        interrupt.raise();
    }
}

/// Diagnostics for Skiff's own developers go to stderr, when asked for.
fn start_logging(environment: &Environment) {
    if let Some(filter) = &environment.log {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
            .with_writer(std::io::stderr)
            .init();
    }
}
