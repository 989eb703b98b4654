//! What is tried with an input, and what must hold whatever the input is.

use k8s_openapi::api::core::v1::Pod;
use miette::{GraphicalReportHandler, GraphicalTheme, NarratableReportHandler};
use serde_json::{Value, json};
use skiff_schema::{Config, ConfigLayer, Faults, TaskFile, TaskOverrides};

use crate::input::Input;

/// No message may quote the value of a secret that holds this.
pub(crate) const SECRET: &str = "unspeakable";

/// Something that reads what users write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Bytes as a task file and as a configuration.
    Reader,
    /// A task file, variables and secrets, of which some are put into it.
    Substitution,
    /// Fragments of pods in a configuration and in a task, laid over a pod.
    PodConfig,
}

/// How an input ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was read.
    Read,
    /// It has faults, which can be shown.
    Refused,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Reader, Self::Substitution, Self::PodConfig];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Substitution => "substitution",
            Self::PodConfig => "pod_config",
        }
    }

    /// Tries an input. Panics where Skiff would.
    pub fn run(self, input: &Input) -> Verdict {
        let result = match self {
            Self::Reader => read(input.part(0)),
            Self::Substitution => substitute(input),
            Self::PodConfig => lay_over(input),
        };
        match result {
            Ok(()) => Verdict::Read,
            Err(faults) => {
                show(&faults);
                Verdict::Refused
            }
        }
    }
}

fn read(bytes: &[u8]) -> Result<(), Faults> {
    let layer = ConfigLayer::read_bytes("config.yaml", bytes);
    if let Err(faults) = &layer {
        show(faults);
    }
    let file = TaskFile::read_bytes("task.yaml", bytes);
    let config = Config::merge(layer.ok());
    for task in file?.tasks() {
        let task = task.resolve(&TaskOverrides::default())?;
        task.to_json();
        config.for_task(task.context(), &task.config);
    }
    Ok(())
}

/// The first part is a task file, the second has a variable a line, the third a secret a line.
fn substitute(input: &Input) -> Result<(), Faults> {
    let overrides = TaskOverrides {
        envs: assignments(&input.text(1)),
        secrets: assignments(&input.text(2)),
        ..TaskOverrides::default()
    };
    for task in TaskFile::read_bytes("task.yaml", input.part(0))?.tasks() {
        let resolved = task.resolve(&overrides).inspect_err(|faults| {
            let is_secret = overrides
                .secrets
                .iter()
                .any(|(_, value)| value.contains(SECRET));
            if is_secret && !input.text(0).contains(SECRET) && !input.text(1).contains(SECRET) {
                let shown = shown(faults);
                assert!(!shown.contains(SECRET), "a secret is told: {shown}");
            }
        })?;
        resolved.to_json();
    }
    Ok(())
}

fn assignments(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter_map(|line| line.split_once('='));
    lines
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The first part is a fragment of the configuration, the second one of the task.
fn lay_over(input: &Input) -> Result<(), Faults> {
    let config = indented("kubernetes:\n pod_config:\n", &input.text(0));
    let task = indented("config:\n kubernetes:\n  pod_config:\n", &input.text(1));
    let layer = ConfigLayer::read("config.yaml", &config)?;
    for task in TaskFile::read("task.yaml", &task)?.tasks() {
        let task = task.resolve(&TaskOverrides::default())?;
        let config = Config::merge([layer.clone()]).for_task(None, &task.config);
        let laid = config.pod_config.apply(pod());
        let result = serde_json::from_value::<Pod>(laid.clone());
        assert!(result.is_ok(), "{result:?}: {laid}");
    }
    Ok(())
}

/// A fragment under the keys that lead to it.
fn indented(keys: &str, fragment: &str) -> String {
    let lines = fragment.lines().map(|line| format!("   {line}\n"));
    [keys.to_owned()].into_iter().chain(lines).collect()
}

/// A pod with everything that the merge has a rule of its own for.
fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "dev-head", "labels": { "parent": "skypilot" } },
        "spec": {
            "initContainers": [{ "name": "docker", "restartPolicy": "Always" }],
            "containers": [{
                "name": "task",
                "image": "python",
                "command": ["/bin/sh"],
                "env": [{ "name": "A", "value": "1" }],
                "ports": [{ "containerPort": 8080 }],
                "resources": { "requests": { "cpu": "2", "memory": "2G" } },
                "volumeMounts": [{ "name": "skiff", "mountPath": "/skiff" }],
            }],
            "volumes": [{ "name": "skiff", "emptyDir": {} }],
            "tolerations": [{ "operator": "Exists" }],
        },
    })
}

fn show(faults: &Faults) {
    assert!(faults.iter().count() > 0);
    let shown = shown(faults);
    let is_hidden = |char: char| char.is_control() && !matches!(char, '\n' | '\t');
    assert!(!shown.contains(is_hidden), "{shown:?}");
    NarratableReportHandler::new()
        .render_report(&mut String::new(), faults)
        .expect("a String takes every write");
}

fn shown(faults: &Faults) -> String {
    let mut text = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::none())
        .render_report(&mut text, faults)
        .expect("a String takes every write");
    text
}
