//! Golden cases: every folder of `tests/cases` holds a task and what becomes of it.
//!
//! `task.yaml`, and where the case needs them `config.yaml`, `facts.json` (the Kubernetes cluster)
//! and `cluster.txt` (its name); then either `manifests.yaml` or `error.txt`, which
//! `SKIFF_BLESS=1 cargo test -p skiff-compile` writes anew.

#![allow(
    clippy::disallowed_methods,
    reason = "the cases lie in files; the crate itself is pure"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use skiff_compile::{AgentBuild, ClusterFacts, CompileError, Ids, Input, Plan, Version, compile};
use skiff_schema::{Config, ConfigLayer, Faults, Task, TaskOverrides};

/// Faults in the context that the cases name, which configurations may refer to.
const CONTEXT: &str = "kind-dev";

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
    let task = Task::read_bytes("task.yaml", &bytes)?.resolve(&TaskOverrides::default())?;
    let plan = plan(case, &config, &task)?;
    for note in &plan.notes {
        writeln!(output, "# note: {note}").expect("a String");
    }
    Ok(output + &plan.to_yaml())
}

fn plan(
    case: &Path,
    config: &Config,
    task: &skiff_schema::ResolvedTask,
) -> Result<Plan, CompileError> {
    let facts = text_of(case, "facts.json").map_or(
        ClusterFacts {
            server: Version {
                major: 1,
                minor: 30,
            },
            nodes: Some(Vec::new()),
        },
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

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases");
    let entries = fs::read_dir(&root).expect("the folder of the cases");
    let mut cases: Vec<PathBuf> = entries
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    cases
}

/// Compares with what the case expects, or writes that.
fn check(case: &Path, bless: bool) -> Result<(), String> {
    let (file, other, found) = match manifests(case) {
        Ok(text) => ("manifests.yaml", "error.txt", text),
        Err(failure) => ("error.txt", "manifests.yaml", rendered(&failure)),
    };
    if bless {
        fs::write(case.join(file), found).expect("writable");
        let _ = fs::remove_file(case.join(other));
        return Ok(());
    }
    let expected = text_of(case, file)
        .ok_or_else(|| format!("{} expects {other}, and this is\n{found}", case.display()))?;
    if text_of(case, other).is_some() {
        return Err(format!("{} has both {file} and {other}", case.display()));
    }
    (found == expected).then_some(()).ok_or_else(|| {
        format!(
            "{}: expected\n{expected}\nfound\n{found}",
            case.join(file).display()
        )
    })
}

#[test]
fn every_case_becomes_what_it_expects() {
    let bless = env::var_os("SKIFF_BLESS").is_some();
    let cases = cases();
    assert!(cases.len() >= 40, "only {} cases found", cases.len());
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| check(case, bless).err())
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
