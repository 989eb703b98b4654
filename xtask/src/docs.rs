//! `cargo xtask docs`: the JSON Schemas and the reference pages, from the tables of the language.

use anyhow::Result;
use clap::Args;

use crate::command;
use crate::project::Project;

#[derive(Args)]
pub(crate) struct DocsArgs {
    /// Write nothing; fail if something is not up to date.
    #[arg(long)]
    check: bool,
}

/// Prints them into the repository.
pub(crate) fn run(project: &Project, args: &DocsArgs) -> Result<()> {
    let mut print = project.cargo();
    print.args(["run", "--quiet", "--package", "skiff-docs", "--"]);
    if args.check {
        print.arg("--check");
    }
    command::shown(&mut print)
}
