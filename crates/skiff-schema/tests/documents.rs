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
fn the_guides_to_docker_show_what_skiff_reads() {
    let guides = [
        include_str!("../../../docs/docker/build.md"),
        include_str!("../../../docs/docker/caches.md"),
        include_str!("../../../docs/docker/images.md"),
        include_str!("../../../docs/docker/networks.md"),
        include_str!("../../../docs/docker/registries.md"),
        include_str!("../../../docs/docker/resources.md"),
        include_str!("../../../docs/docker/storage.md"),
        include_str!("../../../docs/docker/migrating/actions-runner-controller.md"),
        include_str!("../../../docs/docker/migrating/buildkite.md"),
        include_str!("../../../docs/docker/migrating/gitlab.md"),
    ];
    for example in guides.into_iter().flat_map(examples) {
        if example.starts_with("kubernetes:") {
            let layer = ConfigLayer::read("example.yaml", example);
            layer.unwrap_or_else(|faults| panic!("{}", told(&faults)));
        } else if !example.contains("type: k8s-pvc") {
            let file = TaskFile::read("example.yaml", example);
            let file = file.unwrap_or_else(|faults| panic!("{}", told(&faults)));
            let login = ("SKYPILOT_DOCKER_PASSWORD".to_owned(), "x".to_owned());
            for task in file.tasks() {
                let secrets = example.contains(&login.0).then(|| login.clone());
                let overrides = TaskOverrides {
                    secrets: secrets.into_iter().collect(),
                    ..TaskOverrides::default()
                };
                let resolved = task.resolve(&overrides);
                resolved.unwrap_or_else(|faults| panic!("{}", told(&faults)));
            }
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
