//! The examples in the documentation are what they say: files that Skiff reads without a fault.

use skiff_schema::{ConfigLayer, Faults, TaskFile, TaskOverrides};

/// The fenced YAML blocks of a document.
fn examples(document: &str) -> Vec<&str> {
    let blocks = document.split("```yaml\n").skip(1);
    let examples: Vec<&str> = blocks
        .filter_map(|block| block.split("```").next())
        .collect();
    assert!(!examples.is_empty(), "no example");
    examples
}

fn told(faults: &Faults) -> String {
    faults
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn examples_of_task_files_are_valid() {
    let documents = [
        include_str!("../../../docs/task-yaml.md"),
        include_str!("../../../docs/docker.md"),
        include_str!("../../../README.md"),
    ];
    for example in documents.into_iter().flat_map(examples) {
        let file = TaskFile::read("example.yaml", example);
        let file = file.unwrap_or_else(|faults| panic!("{}", told(&faults)));
        for task in file.tasks() {
            let resolved = task.resolve(&TaskOverrides::default());
            resolved.unwrap_or_else(|faults| panic!("{}", told(&faults)));
        }
    }
}

#[test]
fn examples_of_configuration_are_valid_and_without_warnings() {
    for example in examples(include_str!("../../../docs/config.md")) {
        let layer = ConfigLayer::read("example.yaml", example)
            .unwrap_or_else(|faults| panic!("{}", told(&faults)));
        assert!(layer.warnings.is_empty(), "{:?}", layer.warnings);
    }
}
