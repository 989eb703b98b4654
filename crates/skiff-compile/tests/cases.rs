//! Golden cases: every folder of `tests/cases` holds a task and what becomes of it.
//!
//! `task.yaml`, and where the case needs them `config.yaml`, `flags.txt` (a flag a line), `facts.json`
//! (the Kubernetes cluster) and `cluster.txt` (its name); then `manifests.yaml`, or in `tests/cases/errors` `error.txt`,
//! which `SKIFF_BLESS=1 cargo test -p skiff-compile` writes anew.

#![allow(
    clippy::disallowed_methods,
    reason = "the cases lie in files; the crate itself is pure"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use skiff_compile::{AgentBuild, ClusterFacts, CompileError, Ids, Input, Plan, Version, compile};
use skiff_proto::ClusterKey;
use skiff_schema::{Config, ConfigLayer, Faults, TaskFile, TaskOverrides};

/// Faults in the context that the cases name, which configurations may refer to.
const CONTEXT: &str = "kind-dev";

/// What the values of secrets in the cases hold, which no message may show.
const SECRET: &str = "verysecret";

enum Failure {
    Faults(Faults),
    Compile(CompileError),
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self::Faults(faults)
    }
}

impl From<CompileError> for Failure {
    fn from(error: CompileError) -> Self {
        Self::Compile(error)
    }
}

fn text_of(case: &Path, name: &str) -> Option<String> {
    fs::read_to_string(case.join(name)).ok()
}

/// The manifests of a case, with warnings and notes as comments before them.
fn manifests(case: &Path) -> Result<String, Failure> {
    let mut output = String::new();
    let mut layers = Vec::new();
    if let Some(text) = text_of(case, "config.yaml") {
        let layer = ConfigLayer::read("config.yaml", &text)?;
        for warning in &layer.warnings {
            writeln!(output, "# warning: {}", warning.message).expect("a String");
        }
        layers.push(layer);
    }
    let config = Config::merge(layers);
    let bytes = fs::read(case.join("task.yaml")).expect("every case has a task.yaml");
    let file = TaskFile::read_bytes("task.yaml", &bytes)?;
    let overrides = overrides(&text_of(case, "flags.txt").unwrap_or_default());
    let mut tasks = Vec::new();
    for task in file.tasks() {
        tasks.push(task.resolve(&overrides)?);
    }
    let plan = plan(case, &config, &tasks[0])?;
    for note in &plan.notes {
        writeln!(output, "# note: {note}").expect("a String");
    }
    Ok(output + &plan.to_yaml())
}

/// What flags such as `--cpus 4` change.
fn overrides(flags: &str) -> TaskOverrides {
    let mut overrides = TaskOverrides::default();
    for line in flags.lines() {
        let (flag, value) = line.split_once(' ').expect("a flag and its value");
        let value = value.to_owned();
        let variable = || {
            let (name, value) = value.split_once('=').expect("a variable");
            (name.to_owned(), value.to_owned())
        };
        let resources = &mut overrides.resources;
        match flag {
            "--name" => overrides.name = Some(value),
            "--num-nodes" => overrides.num_nodes = Some(value),
            "--env" => overrides.envs.push(variable()),
            "--secret" => overrides.secrets.push(variable()),
            "--cpus" => resources.cpus = Some(value),
            "--memory" => resources.memory = Some(value),
            "--infra" => resources.infra = Some(value),
            "--gpus" => resources.accelerators = Some(value),
            "--disk-size" => resources.disk_size = Some(value),
            "--ports" => resources.ports.push(value),
            flag => unreachable!("the cases know no flag {flag}"),
        }
    }
    overrides
}

fn plan(
    case: &Path,
    config: &Config,
    task: &skiff_schema::ResolvedTask,
) -> Result<Plan, CompileError> {
    let facts = text_of(case, "facts.json").map_or(
        ClusterFacts::new(Version::v1(30), Some(Vec::new())),
        |json| serde_json::from_str(&json).expect("valid facts.json"),
    );
    let cluster = text_of(case, "cluster.txt").unwrap_or_else(|| "dev".to_owned());
    compile(&Input {
        task,
        resources: task.first(),
        config: &config.for_task(Some(CONTEXT), &task.config),
        facts: &facts,
        ids: &Ids {
            cluster: cluster.trim().to_owned(),
            user: "Ada Lovelace".to_owned(),
            user_hash: "0123abcd".to_owned(),
            namespace: "research".to_owned(),
            context: CONTEXT.to_owned(),
            launching: None,
            command: "skiff launch -c dev task.yaml".to_owned(),
            key: ClusterKey::new([0; 32]),
        },
        agent: &AgentBuild {
            hash: "00112233445566aa".to_owned(),
            parts: 2,
            architectures: vec!["amd64".to_owned()],
        },
    })
}

fn rendered(failure: &Failure) -> String {
    match failure {
        Failure::Faults(faults) => {
            let mut text = String::new();
            GraphicalReportHandler::new_themed(GraphicalTheme::none())
                .with_width(100)
                .render_report(&mut text, faults as &dyn Diagnostic)
                .expect("a String");
            let lines: Vec<&str> = text.trim().lines().map(str::trim_end).collect();
            lines.join("\n") + "\n"
        }
        Failure::Compile(error) => {
            let hint = error.hint().map(|hint| format!("hint: {hint}\n"));
            format!("error: {error}\n{}", hint.unwrap_or_default())
        }
    }
}

/// The folders in a folder that hold a case.
fn cases(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests");
    let entries = fs::read_dir(root.join(folder)).expect("the folder of the cases");
    let mut cases: Vec<PathBuf> = entries
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.join("task.yaml").exists())
        .collect();
    cases.sort();
    cases
}

/// Compares with what the case expects, or writes that.
fn check(case: &Path, file: &str, found: &str) -> Result<(), String> {
    if env::var_os("SKIFF_BLESS").is_some() {
        fs::write(case.join(file), found).expect("writable");
        return Ok(());
    }
    let expected = text_of(case, file).unwrap_or_default();
    (found == expected).then_some(()).ok_or_else(|| {
        let file = case.join(file);
        format!("{}: expected\n{expected}\nfound\n{found}", file.display())
    })
}

#[test]
fn every_case_becomes_the_manifests_that_it_expects() {
    let cases = cases("cases");
    assert!(cases.len() >= 25, "only {} cases found", cases.len());
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| match manifests(case) {
            Ok(found) => check(case, "manifests.yaml", &found).err(),
            Err(failure) => Some(format!("{}: {}", case.display(), rendered(&failure))),
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_wrong_file_gets_the_error_that_it_expects() {
    let cases = cases("cases/errors");
    assert!(cases.len() >= 250, "only {} cases found", cases.len());
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| match manifests(case) {
            Ok(_) => Some(format!("{} has no fault", case.display())),
            Err(failure) => {
                let found = rendered(&failure);
                if found.contains(SECRET) {
                    return Some(format!("{} tells a secret:\n{found}", case.display()));
                }
                check(case, "error.txt", &found).err()
            }
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
