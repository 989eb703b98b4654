//! Whatever can be written in `resources`.

use proptest::prelude::*;

use crate::candidates;

/// Fields and values of every kind, right and wrong.
fn anything_in_resources() -> impl Strategy<Value = String> {
    let value = prop::sample::select(vec![
        "~",
        "yes",
        "0",
        "-1",
        "8",
        "99999999999999999999",
        "1e400",
        ".inf",
        ".nan",
        "0.5",
        "'4+'",
        "4x",
        "16GB",
        "1Ti",
        "99999999PB",
        "99999999999x",
        "''",
        "' '",
        "':'",
        "'::'",
        "':::'",
        "'/'",
        "k8s/a/b",
        "'*/*/*'",
        "ssh/p",
        "aws",
        "A100:8",
        "'A100:999999999'",
        "'nvidia:40GB+:2'",
        "tpu-v5e-8",
        "80-90",
        "'1,2,-'",
        "'-'",
        "2h",
        "é",
        "'\\0'",
        "docker:",
        "4CPU--16GB--A100:1",
        "CPU--GB",
        "0CPU--0GB",
        "2024-01-01",
        "[]",
        "{}",
        "[~]",
        "[[]]",
        "[1, a, {}]",
        "{a: b}",
        "{~: ~}",
        "{1: 2}",
        "{docker: a}",
        "{A100: 1, 'H100:2': ~}",
        "{idle_minutes: 1, down: x}",
        "none",
    ]);
    let known = skiff_schema::RESOURCES
        .fields
        .iter()
        .map(|field| field.name);
    let field = prop::sample::select(known.collect::<Vec<_>>());
    let fields = prop::collection::hash_map(field, value, 0..6);
    let mapping = fields.prop_map(|fields| {
        let fields = fields
            .into_iter()
            .map(|(name, value)| format!("{name}: {value}"));
        fields.collect::<Vec<_>>().join(", ")
    });
    (
        mapping.clone(),
        prop::collection::vec(mapping, 0..4),
        any::<bool>(),
    )
        .prop_map(|(base, entries, ordered)| {
            let entries = entries.iter().map(|entry| format!("{{{entry}}}"));
            let list = if ordered { "ordered" } else { "any_of" };
            format!(
                "{{{base}{} {list}: [{}]}}",
                if base.is_empty() { "" } else { "," },
                entries.collect::<Vec<_>>().join(", ")
            )
        })
}

proptest! {
    #[test]
    fn whatever_is_written_gives_candidates_or_faults(resources in anything_in_resources()) {
        match candidates(&resources) {
            Ok(found) => prop_assert!(!found.is_empty()),
            Err(faults) => prop_assert!(!faults.is_empty()),
        }
    }
}
