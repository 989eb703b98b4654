//! `cargo xtask test`: every check and every test, the end-to-end ones on a local Kubernetes.
//!
//! Every part runs, also after another has failed; the end repeats what failed and cargo's own
//! summaries.

use std::env;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::local_cluster::{LocalCluster, Skiff};
use crate::parallel;
use crate::project::Project;
use crate::{build, command, images, interrupt, kubernetes, report, setup};

/// The local cluster's name and that of the folder under Skiff's home that belongs to it.
const NAME: &str = "test";
/// The cluster's context in its kubeconfig.
const CONTEXT: &str = "skiff-test";

/// What the run has shown so far.
#[derive(Default)]
struct Outcome {
    /// cargo's lines that sum up one test program.
    summaries: Vec<String>,
    /// The parts that failed.
    failed: Vec<String>,
}

/// Runs everything; fails if anything has failed.
pub(crate) fn run(project: &Project) -> Result<()> {
    let started = Instant::now();
    setup::run(project)?;
    let mut outcome = Outcome::default();
    let mut tests_built = false;
    parallel::run(vec![
        ("kubernetes", Box::new(|| kubernetes::ensure(project))),
        ("images", Box::new(|| images::ensure(project))),
        (
            "checks",
            Box::new(|| {
                check(project, &mut outcome);
                tests_built = build_tests(project, &mut outcome);
                interrupt::check()
            }),
        ),
    ])?;
    if tests_built {
        workspace_tests(project, &mut outcome)?;
        cluster_tests(project, &mut outcome)?;
    }
    conclude(&outcome, started)
}

/// Format and lints. Warnings are errors in CI only.
fn check(project: &Project, outcome: &mut Outcome) {
    let mut format = project.cargo();
    format.args(["fmt", "--all", "--check"]);
    outcome.part("cargo fmt --check", &mut format);
    let mut lint = project.cargo();
    lint.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        "skiff-test/cluster",
        "--keep-going",
        "--quiet",
        "--",
    ]);
    if env::var("CI").is_ok_and(|value| value == "true") {
        lint.args(["-D", "warnings"]);
    }
    outcome.part("cargo clippy", &mut lint);
}

/// Compiles the tests while Kubernetes and the images are made, so that they run undisturbed.
fn build_tests(project: &Project, outcome: &mut Outcome) -> bool {
    let mut compile = project.cargo();
    compile.args(["test", "--workspace", "--no-run", "--quiet"]);
    outcome.part("compiling the tests", &mut compile)
}

/// Unit tests, golden compiler cases, command-line snapshots.
fn workspace_tests(project: &Project, outcome: &mut Outcome) -> Result<()> {
    report::step(NAME, "tests without a cluster");
    let mut tests = project.cargo();
    tests.args(["test", "--workspace", "--no-fail-fast"]);
    outcome.tests("cargo test --workspace", &mut tests)
}

/// The end-to-end tests, on a cluster of their own: two nodes, no way out.
fn cluster_tests(project: &Project, outcome: &mut Outcome) -> Result<()> {
    let skiff = Skiff::isolated(build::for_tests(project)?, project, NAME)?;
    let mut tests = project.cargo();
    tests
        .args([
            "test",
            "--package",
            "skiff-test",
            "--features",
            "cluster",
            "--test",
            "cluster",
        ])
        .arg("--no-fail-fast")
        .env("SKIFF_BIN", skiff.program())
        .env("SKIFF_TEST_CONTEXT", CONTEXT);
    // Compiled before the cluster is up: it is measured in time-outs.
    let mut compile = clone_of(&tests);
    if !outcome.part("compiling the cluster tests", compile.arg("--no-run")) {
        return Ok(());
    }
    report::step(NAME, "tests on a local cluster");
    let cluster = match LocalCluster::up(&skiff, NAME, &["--nodes", "2", "--no-egress"]) {
        Ok(cluster) => cluster,
        Err(error) => {
            interrupt::check()?;
            report::failure(&error);
            outcome.failed.push("starting the local cluster".to_owned());
            say_where_logs_lie(&skiff);
            return Ok(());
        }
    };
    let failed_before = outcome.failed.len();
    outcome.tests("the cluster tests", skiff.lend(&mut tests))?;
    if outcome.failed.len() > failed_before {
        say_where_logs_lie(&skiff);
    }
    if let Err(error) = cluster.down() {
        report::failure(&error);
        outcome
            .failed
            .push("taking the local cluster down".to_owned());
    }
    Ok(())
}

/// A command with the same program, arguments, folder and environment.
fn clone_of(command: &Command) -> Command {
    let mut copy = Command::new(command.get_program());
    copy.args(command.get_args());
    copy.envs(
        command
            .get_envs()
            .filter_map(|(key, value)| Some((key, value?))),
    );
    copy.current_dir(command.get_current_dir().unwrap_or(".".as_ref()));
    copy
}

fn say_where_logs_lie(skiff: &Skiff) {
    if let Some(home) = skiff.own_home() {
        let logs = home.join("local").join(NAME);
        report::step(
            NAME,
            format!("the cluster's logs are under {}", logs.display()),
        );
    }
}

fn conclude(outcome: &Outcome, started: Instant) -> Result<()> {
    let took = report::human(started.elapsed());
    report::line("");
    for summary in &outcome.summaries {
        report::line(summary);
    }
    if !outcome.failed.is_empty() {
        bail!("failed after {took}: {}", outcome.failed.join(", "));
    }
    report::step(NAME, format!("all passed in {took}"));
    Ok(())
}

impl Outcome {
    /// Runs a part and records its failure; true if it succeeded.
    fn part(&mut self, name: &str, command: &mut Command) -> bool {
        report::step(NAME, name);
        let result = command::shown(command);
        if let Err(error) = &result {
            report::failure(error);
            self.failed.push(name.to_owned());
        }
        result.is_ok()
    }

    /// Runs tests, shows their output and keeps the summaries.
    fn tests(&mut self, name: &str, command: &mut Command) -> Result<()> {
        let status = command::lines(command, |line| {
            report::line(line);
            if line.starts_with("test result:") {
                self.summaries.push(line.to_owned());
            }
        })?;
        interrupt::check()?;
        if !status.success() {
            self.failed.push(name.to_owned());
        }
        Ok(())
    }
}
