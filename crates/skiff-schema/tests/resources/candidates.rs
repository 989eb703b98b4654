//! Candidates and places: what they inherit, what contradicts, which are passed over.

use serde_json::json;
use skiff_schema::{Choice, Infra, ResourceOverrides};

use crate::{candidates, faults, only, sizes, task};

#[test]
fn a_mapping_of_accelerators_is_any_and_a_list_is_an_order() {
    let choices = |resources| -> Vec<Choice> {
        let found = candidates(resources).expect(resources);
        found.iter().map(|one| one.choice).collect()
    };
    assert_eq!(
        choices("{accelerators: {A100: 1, H100: 1}}"),
        [Choice::AnyOf; 2]
    );
    assert_eq!(
        choices("{accelerators: [A100, H100]}"),
        [Choice::Ordered; 2]
    );
    assert_eq!(choices("{accelerators: [A100]}"), [Choice::Only]);
    assert_eq!(
        choices("{any_of: [{cpus: 1}, {cpus: 2}]}"),
        [Choice::AnyOf; 2]
    );
    assert_eq!(
        choices("{ordered: [{cpus: 1}, {cpus: 2}]}"),
        [Choice::Ordered; 2]
    );
    assert_eq!(choices("{any_of: []}"), [Choice::Only]);
}

#[test]
fn candidates_are_the_base_with_their_own_fields_on_top() {
    let resources = "
  cpus: 4
  labels: {a: base, b: base}
  accelerators: {A100: 1, H100: 1}
  any_of:
    - {cpus: 1}
    - {gpus: L4, labels: {b: own, c: own}}
    - {}
";
    let found = candidates(resources).expect("valid");
    let seen: Vec<(u64, String)> = sizes(resources)
        .into_iter()
        .map(|(cpus, _, name)| (cpus, name))
        .collect();
    let expected = [
        (1000, "A100:1"),
        (1000, "H100:1"),
        (4000, "L4:1"),
        (4000, "A100:1"),
        (4000, "H100:1"),
    ];
    assert_eq!(seen, expected.map(|(cpus, name)| (cpus, name.to_owned())));
    let labels = |at: usize| json!(found[at].labels);
    assert_eq!(labels(2), json!({"a": "base", "b": "own", "c": "own"}));
    for at in [0, 1, 3, 4] {
        assert_eq!(
            labels(at),
            json!({"a": "base", "b": "base"}),
            "labels leak into {at}"
        );
    }
}

#[test]
fn candidates_that_contradict_each_other_are_refused() {
    for (resources, expected) in [
        (
            "{any_of: [{cpus: 1}], ordered: [{cpus: 2}]}",
            "`resources.any_of` and `resources.ordered` exclude each other",
        ),
        ("{any_of: [], ordered: []}", "exclude each other"),
        (
            "{accelerators: {A100: 1, H100: 1}, ordered: [{cpus: 1}]}",
            "`resources.accelerators` holds several accelerators beside `ordered`",
        ),
        (
            "{accelerators: [A100, H100], any_of: [{cpus: 1}]}",
            "`resources.accelerators` holds several accelerators beside `any_of`",
        ),
        (
            "{any_of: [{accelerators: {A100: 1, H100: 1}}]}",
            "`resources.any_of[0].accelerators` holds several accelerators",
        ),
        (
            "{any_of: [{accelerators: [A100]}]}",
            "`resources.any_of[0].accelerators` must be",
        ),
        (
            "{any_of: [{any_of: [{cpus: 1}]}]}",
            "`resources.any_of[0].any_of`: a candidate holds no further candidates",
        ),
        (
            "{any_of: [~]}",
            "`resources.any_of[0]` must be a mapping, and this is empty",
        ),
        ("{any_of: {cpus: 1}}", "`resources.any_of` must be a list"),
        (
            "{gpus: A100, accelerators: A100}",
            "`resources.gpus` and `accelerators` are two names of one field",
        ),
        ("{hooks: []}", "`resources.hooks` is no field of resources"),
        (
            "{any_of: [{priority: 1}, {priority: 2}]}",
            "`resources.any_of[1].priority` differs from that before it",
        ),
    ] {
        let found = faults(resources);
        assert_eq!(found.len(), 1, "{resources}: {found:?}");
        assert!(found[0].contains(expected), "{resources}: {found:?}");
    }
}

#[test]
fn a_fault_of_the_base_is_told_once_and_those_of_all_candidates_together() {
    let found = faults("{infra: k8s, zone: z, any_of: [{cpus: 1}, {cpus: 2}, {region: r}]}");
    assert_eq!(found.len(), 2, "{found:?}");
    let found = faults("{any_of: [{cpus: lots}, {memory: much}], ports: 0, labels: {-a: b}}");
    assert_eq!(found.len(), 4, "{found:?}");
}

#[test]
fn what_a_flag_could_mend_is_told_beside_what_it_could_not() {
    let found = faults("{cpus: lots, infra: aws, image_id: ami-1}");
    assert_eq!(found.len(), 2, "{found:?}");
    let found = faults("{cpus: lots, instance_type: huge, zone: a, any_of: [{}, {cpus: 1}]}");
    assert_eq!(found.len(), 2, "{found:?}");
    let found = faults("{any_of: [{cpus: lots, any_of: []}], ordered: [{ordered: []}]}");
    assert_eq!(found.len(), 4, "{found:?}");
}

#[test]
fn more_candidates_than_anybody_writes_are_refused() {
    let accelerators: Vec<String> = (0..20).map(|index| format!("G{index}: 1")).collect();
    let entries = "{}, ".repeat(20);
    let accelerators = accelerators.join(", ");
    let found = faults(&format!(
        "{{accelerators: {{{accelerators}}}, any_of: [{entries}]}}"
    ));
    assert_eq!(found, ["`resources` has more than 256 candidates"]);
    let found = faults(&format!("{{any_of: [{}]}}", "{}, ".repeat(300)));
    assert_eq!(found, ["`resources.any_of` has more than 256 entries"]);
}

#[test]
fn places_are_contexts_of_kubernetes() {
    let context = |resources: &str| -> Option<Option<String>> {
        let Infra::Kubernetes { context } = only(resources).infra?;
        Some(context)
    };
    let named = |name: &str| Some(Some(name.to_owned()));
    for (resources, expected) in [
        ("{}", None),
        ("{infra: '*'}", None),
        ("{infra: '*/*'}", None),
        ("{infra: k8s}", Some(None)),
        ("{infra: Kubernetes}", Some(None)),
        ("{infra: 'k8s/*'}", Some(None)),
        ("{infra: K8S/Own-1}", named("Own-1")),
        (
            "{infra: 'k8s/arn:aws:eks:us-east-1:1:cluster/mine'}",
            named("arn:aws:eks:us-east-1:1:cluster/mine"),
        ),
        ("{infra: '*/mine'}", named("mine")),
        ("{infra: ssh/pool}", named("ssh-pool")),
        ("{cloud: Kubernetes, region: mine}", named("mine")),
        ("{region: mine}", named("mine")),
        ("{gpus: tpu-v5-lite-podslice}", Some(None)),
        ("{cloud: ssh, region: pool}", named("ssh-pool")),
    ] {
        assert_eq!(context(resources), expected, "{resources}");
    }
}

#[test]
fn places_that_are_not_kubernetes_are_explained() {
    for (resources, expected) in [
        (
            "{infra: aws}",
            "`resources.infra`: Skiff runs on Kubernetes only, not on `aws`",
        ),
        (
            "{infra: gcp/us-central1/us-central1-a}",
            "Skiff runs on Kubernetes only, not on `gcp`",
        ),
        (
            "{cloud: azure}",
            "`resources.cloud`: Skiff runs on Kubernetes only, not on `azure`",
        ),
        ("{infra: k8s/}", "`k8s/` is incomplete"),
        ("{infra: ''}", "is incomplete"),
        ("{infra: moon}", "`moon` is no place to run"),
        (
            "{infra: k8s, cloud: kubernetes}",
            "`resources.cloud` and `resources.infra` exclude each other",
        ),
        (
            "{infra: k8s, region: mine}",
            "`resources.region` and `resources.infra` exclude each other",
        ),
        (
            "{zone: a}",
            "`resources.zone`: Kubernetes has no zones to run in",
        ),
        (
            "{infra: '*/*/a'}",
            "names a zone, which Kubernetes does not have",
        ),
        ("{any_of: [{infra: aws}, {infra: gcp}]}", "not on `aws`"),
    ] {
        let found = faults(resources);
        assert!(found[0].contains(expected), "{resources}: {found:?}");
    }
}

#[test]
fn candidates_on_other_clouds_are_passed_over_where_another_can_run() {
    let text = "
resources:
  any_of:
    - {cloud: aws, instance_type: p4d.24xlarge, zone: a}
    - {infra: k8s, cpus: 3}
    - {infra: gcp/us-central1}
run: id
";
    let found = task(text, ResourceOverrides::default()).expect("one can run");
    let cpus: Vec<u64> = found.resources.iter().map(|one| one.milli_cpu).collect();
    assert_eq!(cpus, [3000]);
    let remarks: Vec<&str> = found
        .remarks
        .iter()
        .map(|remark| remark.path.as_str())
        .collect();
    assert_eq!(remarks, ["resources.any_of[0]", "resources.any_of[2]"]);
}

#[test]
fn accelerators_of_other_clouds_are_passed_over_too() {
    let found = candidates("{gpus: [tpu-v5e-8, L4]}").expect("one can run");
    let names: Vec<_> = found
        .iter()
        .filter_map(|one| one.accelerators.as_ref())
        .collect();
    assert_eq!(names[0].name, "L4");
    assert_eq!(names.len(), 1);
}
