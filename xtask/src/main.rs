//! Skiff's own tasks: everything `make` does, in Rust, so that it is typed and tested like the rest.
//!
//! It must not depend on Skiff's crates: it builds them, and measures and tests them from outside.

mod bench;
mod build;
mod command;
mod demo;
mod docs;
mod fuzz;
mod images;
mod interrupt;
mod kubernetes;
mod local_cluster;
mod packages;
mod parallel;
mod project;
mod reference;
mod report;
mod setup;
mod sources;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::project::Project;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Skiff's build, test and measurement tasks",
    version
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install the Debian packages that the demo and the tests need.
    Setup,
    /// Build Kubernetes from Debian's source package into ~/.skiff/kubernetes.
    Kubernetes(kubernetes::KubernetesArgs),
    /// Build the container images for clusters without a registry into ~/.skiff/images.
    Images(images::ImagesArgs),
    /// Build the agent and the `skiff` executable that carries it.
    Build(build::BuildArgs),
    /// From nothing to `docker build` in a pod of a local Kubernetes, and away again.
    Demo,
    /// Run every check and every test, the end-to-end ones on a local Kubernetes.
    Test,
    /// Print the JSON Schemas and the reference pages from the tables of the language.
    Docs(docs::DocsArgs),
    /// Try random inputs on everything that reads what users write.
    ///
    /// Inputs are changed copies of the test cases, and documents made from the tables of the
    /// language. There is no feedback from the code that an input reaches, as `cargo fuzz` has:
    /// that needs a nightly compiler.
    Fuzz(fuzz::FuzzArgs),
    /// Measure Skiff against its targets on a local Kubernetes.
    Bench(bench::BenchArgs),
    /// Record anew what SkyPilot makes of the reference cases.
    Reference,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::failure(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    report::start_clock();
    interrupt::watch()?;
    let project = Project::find()?;
    match arguments.task {
        Task::Setup => setup::run(&project),
        Task::Kubernetes(args) => kubernetes::run(&project, &args),
        Task::Images(args) => images::run(&project, &args),
        Task::Build(args) => build::run(&project, &args).map(drop),
        Task::Demo => demo::run(&project),
        Task::Test => test::run(&project),
        Task::Docs(args) => docs::run(&project, &args),
        Task::Fuzz(args) => fuzz::run(&project, &args),
        Task::Bench(args) => bench::run(&project, &args),
        Task::Reference => reference::run(&project),
    }
}
