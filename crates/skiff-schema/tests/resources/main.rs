//! What the nodes of a task have: forms, candidates, defaults, flags, and what excludes each other.

mod candidates;
mod fields;
mod flags;
mod random;
mod sizes;

use skiff_schema::{ResolvedResources, ResolvedTask, ResourceOverrides, TaskFile, TaskOverrides};

fn task(text: &str, resources: ResourceOverrides) -> Result<ResolvedTask, Vec<String>> {
    let overrides = TaskOverrides {
        resources,
        ..TaskOverrides::default()
    };
    let file = TaskFile::read("task.yaml", text);
    file.and_then(|file| file.tasks()[0].resolve(&overrides))
        .map_err(|faults| {
            faults
                .iter()
                .map(|fault| fault.message().to_owned())
                .collect()
        })
}

/// The candidates of `resources: {…}`.
fn candidates(resources: &str) -> Result<Vec<ResolvedResources>, Vec<String>> {
    let text = format!("resources: {resources}\nrun: id\n");
    task(&text, ResourceOverrides::default()).map(|task| task.resources)
}

fn only(resources: &str) -> ResolvedResources {
    let found = candidates(resources).expect(resources);
    assert_eq!(found.len(), 1, "{resources}: {found:?}");
    found[0].clone()
}

fn faults(resources: &str) -> Vec<String> {
    candidates(resources).expect_err(resources)
}

/// CPUs in thousandths, memory in bytes and accelerators of each candidate.
fn sizes(resources: &str) -> Vec<(u64, u64, String)> {
    let found = candidates(resources).expect(resources);
    let size = |one: &ResolvedResources| {
        let accelerators = one.accelerators.as_ref().map(ToString::to_string);
        (
            one.milli_cpu,
            one.memory_bytes,
            accelerators.unwrap_or_default(),
        )
    };
    found.iter().map(size).collect()
}

const GB: u64 = 1_000_000_000;
