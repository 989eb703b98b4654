//! What the nodes of a task have: forms, candidates, defaults, flags, and what excludes each other.

use proptest::prelude::*;
use serde_json::json;
use skiff_schema::{
    Choice, Infra, ResolvedResources, ResolvedTask, ResourceOverrides, TaskFile, TaskOverrides,
};

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

#[test]
fn what_is_not_asked_for_follows_from_what_is() {
    let size = |resources| sizes(resources).remove(0);
    let of =
        |cpus: u64, memory: u64, accelerators: &str| (cpus, memory * GB, accelerators.to_owned());
    assert_eq!(size("{}"), of(2000, 2, ""));
    assert_eq!(size("{cpus: 4+}"), of(4000, 4, ""));
    assert_eq!(size("{memory: 3}"), of(2000, 3, ""));
    assert_eq!(size("{cpus: 3, memory: 4x}"), of(3000, 12, ""));
    assert_eq!(size("{accelerators: A100}"), of(4000, 16, "A100:1"));
    assert_eq!(size("{accelerators: 'A100:8'}"), of(32000, 128, "A100:8"));
    assert_eq!(size("{accelerators: 'A100:0.5'}"), of(2000, 8, "A100:0.5"));
    assert_eq!(size("{gpus: L4, cpus: 6}"), of(6000, 24, "L4:1"));
    assert_eq!(size("{gpus: L4, memory: 5}"), of(4000, 5, "L4:1"));
}

#[test]
fn accelerators_are_read_in_all_their_forms_and_keep_their_names() {
    let named = |resources: &str| -> Vec<String> {
        sizes(resources)
            .into_iter()
            .map(|(_, _, name)| name)
            .collect()
    };
    for (form, expected) in [
        ("A100", vec!["A100:1"]),
        ("'A100: 2'", vec!["A100:2"]),
        ("{a100: 1}", vec!["a100:1"]),
        ("{A100: ~, H100: 2.0}", vec!["A100:1", "H100:2"]),
        ("{'A100:1', 'H100:2'}", vec!["A100:1", "H100:2"]),
        ("{A100, H100}", vec!["A100:1", "H100:1"]),
        ("['A100:1', H100]", vec!["A100:1", "H100:1"]),
        ("[A100, 'A100:1']", vec!["A100:1"]),
        ("80GB", vec!["80GB:1"]),
        ("80gb+", vec!["80GB+:1"]),
        ("'40GB+:2'", vec!["40GB+:2"]),
        ("'nvidia:40gb'", vec!["nvidia:40GB:1"]),
        ("'nvidia:40GB+:2'", vec!["nvidia:40GB+:2"]),
        ("{40GB: 2}", vec!["40GB:2"]),
        ("'tpu-v5-lite-podslice:4'", vec!["tpu-v5-lite-podslice:4"]),
        ("'Trainium:1'", vec!["Trainium:1"]),
    ] {
        assert_eq!(
            named(&format!("{{accelerators: {form}}}")),
            expected,
            "{form}"
        );
    }
}

#[test]
fn accelerators_that_are_none_are_refused_by_name() {
    for (form, expected) in [
        ("'A100:0'", "`A100:0` must be more than 0 accelerators"),
        ("'A100:-1'", "`A100:-1` must be more than 0 accelerators"),
        ("{A100: 0}", "`0` must be more than 0 accelerators"),
        ("'A100:many'", "`A100:many` has no number of accelerators"),
        (
            "'A100:0.0001'",
            "`A100:0.0001` has no number of accelerators",
        ),
        ("'A100:1:2'", "`A100:1:2` is no accelerator"),
        ("{'A100:1': 2}", "`A100:1:2` is no accelerator"),
        ("'A100,H100'", "is more than one accelerator"),
        ("80 GB", "`80 GB` is no accelerator"),
        ("$GPU", "`$GPU` is no accelerator"),
        ("'80GB:0.5'", "asks by memory for a part of an accelerator"),
        ("''", "is incomplete"),
        ("':1'", "is incomplete"),
        ("[]", "`resources.accelerators` names no accelerator"),
        ("{}", "`resources.accelerators` names no accelerator"),
        ("8", "must be accelerators as `<name>` or `<name>:<count>`"),
        ("{A100: yes}", "must be a number of accelerators"),
        ("[{A100: 1}]", "`resources.accelerators[0]` must be"),
    ] {
        let found = faults(&format!("{{accelerators: {form}}}"));
        assert_eq!(found.len(), 1, "{form}: {found:?}");
        assert!(found[0].contains(expected), "{form}: {found:?}");
    }
}

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

#[test]
fn instance_types_say_it_in_one_word() {
    let one = only("{instance_type: 4CPU--16GB--A100:1}");
    assert_eq!((one.milli_cpu, one.memory_bytes), (4000, 16 * GB));
    assert_eq!(
        one.accelerators.map(|set| set.to_string()).as_deref(),
        Some("A100:1")
    );
    assert_eq!(one.infra, Some(Infra::Kubernetes { context: None }));
    assert_eq!(
        sizes("{instance_type: 0.5CPU--1.5GB, gpus: L4}"),
        [(500, 1_500_000_000, "L4:1".to_owned())]
    );
    for agrees in [
        "{instance_type: 4CPU--16GB, cpus: 4}",
        "{instance_type: 4CPU--16GB, cpus: 2+, memory: 8+}",
        "{instance_type: 4CPU--16GB, memory: 4x}",
        "{instance_type: 4CPU--16GB--A100:1, gpus: a100}",
    ] {
        assert!(candidates(agrees).is_ok(), "{agrees}");
    }
    for (resources, expected) in [
        (
            "{instance_type: m5.large}",
            "`m5.large` is no instance type of Kubernetes",
        ),
        (
            "{instance_type: 4CPU--16GB--A100:0.5}",
            "is no instance type",
        ),
        (
            "{instance_type: 4CPU--16GB, cpus: 2}",
            "`resources.cpus`: 2 CPUs are not what `4CPU--16GB` has",
        ),
        (
            "{instance_type: 4CPU--16GB, memory: 32+}",
            "`resources.memory`: 32 GB of memory are not what",
        ),
        (
            "{instance_type: 4CPU--16GB--A100:1, gpus: H100}",
            "`resources.gpus`: accelerators `H100:1` are not what",
        ),
    ] {
        let found = faults(resources);
        assert_eq!(found.len(), 1, "{resources}: {found:?}");
        assert!(found[0].contains(expected), "{resources}: {found:?}");
    }
}

#[test]
fn images_are_read_in_all_their_forms() {
    let image = |resources: &str| only(resources).image;
    for resources in [
        "{image_id: 'docker:a/b:1'}",
        "{image_id: a/b:1}",
        "{image_id: ' a/b:1 '}",
        "{image_id: {docker: a/b:1}}",
        "{image_id: {docker: 'docker:a/b:1', us-east-1: ami-1}}",
        "{image_id: {somewhere: a/b:1}}",
        "{image_id: {~: a/b:1, x: y}}",
        "{image_id: {kubernetes: a/b:1, us-east-1: ami-1}}",
        "{infra: k8s/mine, image_id: {mine: a/b:1, other: c}}",
    ] {
        assert_eq!(image(resources).as_deref(), Some("a/b:1"), "{resources}");
    }
    assert_eq!(image("{image_id: {}}"), None);
    for (resources, expected) in [
        ("{image_id: ''}", "is not an image"),
        ("{image_id: a b}", "is not an image"),
        (
            "{image_id: {a: x, b: y}}",
            "`resources.image_id`: no image is for Kubernetes: there are `a` and `b`",
        ),
        (
            "{infra: k8s/mine, image_id: {other: x}}",
            "no image is for `mine`: there are `other`",
        ),
        (
            "{image_id: {docker: x, a: 'docker:y'}}",
            "names container images in two ways",
        ),
        (
            "{image_id: ami-0123456789}",
            "`resources.image_id`: `ami-0123456789` is an image of virtual machines",
        ),
        (
            "{infra: k8s, image_id: 'skypilot:gpu-ubuntu-2004'}",
            "is an image of virtual machines",
        ),
        ("{image_id: 8}", "must be an image"),
    ] {
        let found = faults(resources);
        assert!(found[0].contains(expected), "{resources}: {found:?}");
    }
}

#[test]
fn ports_become_ranges_in_order() {
    let ports = |form: &str| -> Vec<String> {
        let one = only(&format!("{{ports: {form}}}"));
        one.ports.iter().map(ToString::to_string).collect()
    };
    assert_eq!(ports("8080"), ["8080"]);
    assert_eq!(ports("'9090, 8080,8081'"), ["8080-8081", "9090"]);
    assert_eq!(
        ports("[1-3, '4', 10, 9-12, 65535]"),
        ["1-4", "9-12", "65535"]
    );
    assert_eq!(ports("''"), Vec::<String>::new());
    assert_eq!(ports("[]"), Vec::<String>::new());
    for (form, expected) in [
        ("0", "`0` is no port"),
        ("65536", "`65536` is no port"),
        ("-1", "is no port"),
        ("http", "is no port"),
        ("80 - 90", "is no port"),
        ("90-80", "`90-80` is a range that ends before it begins"),
        ("[80, 8x]", "`resources.ports[1]`: `8x` is no port"),
        ("80.5", "must be a port or a range of ports"),
    ] {
        let found = faults(&format!("{{ports: {form}}}"));
        assert!(found[0].contains(expected), "{form}: {found:?}");
    }
}

#[test]
fn labels_follow_the_rules_of_kubernetes() {
    let one = only("{labels: {Team: A_b.c-1, example.com/Owner: '', a: '1'}}");
    assert_eq!(
        json!(one.labels),
        json!({"Team": "A_b.c-1", "example.com/Owner": "", "a": "1"})
    );
    let long = "x".repeat(64);
    for (labels, expected) in [
        (
            "{-a: b}".to_owned(),
            "the key `-a` of a label is none that Kubernetes takes",
        ),
        ("{a b: b}".to_owned(), "the key `a b`"),
        ("{/a: b}".to_owned(), "has a prefix that is no domain"),
        (
            "{Example.com/a: b}".to_owned(),
            "has a prefix that is no domain",
        ),
        (
            "{a/b/c: d}".to_owned(),
            "the key `a/b/c` of a label is none that Kubernetes takes",
        ),
        (format!("{{{long}: b}}"), "is too long"),
        (format!("{{a: {long}}}"), "is too long"),
        (
            "{a: b c}".to_owned(),
            "`resources.labels.a`: the value `b c` of a label is none",
        ),
        (
            "{skiff.dev/cluster: other}".to_owned(),
            "the key `skiff.dev/cluster` of a label is Skiff's own",
        ),
        ("{a: }".to_owned(), "`resources.labels.a` has no value"),
        ("{a: 1}".to_owned(), "`resources.labels.a` must be a string"),
    ] {
        let found = faults(&format!("{{labels: {labels}}}"));
        assert!(found[0].contains(expected), "{labels}: {found:?}");
    }
}

#[test]
fn autostop_is_read_in_all_its_forms() {
    let autostop = |form: &str| {
        let one = only(&format!("{{autostop: {form}}}"));
        one.autostop
            .map(|autostop| (autostop.idle_minutes, autostop.down, autostop.wait_for))
    };
    let after = |minutes: u64, down: bool| Some((minutes, down, "jobs_and_ssh".to_owned()));
    assert_eq!(autostop("true"), after(1, false));
    assert_eq!(autostop("no"), None);
    assert_eq!(autostop("10"), after(10, false));
    assert_eq!(autostop("'90'"), after(90, false));
    assert_eq!(autostop("2h"), after(120, false));
    assert_eq!(autostop("1D"), after(1440, false));
    assert_eq!(autostop("{down: true}"), after(1, true));
    assert_eq!(
        autostop("{idle_minutes: 5, wait_for: JOBS}"),
        Some((5, false, "jobs".to_owned()))
    );
    for wrong in [
        "-1",
        "1.5",
        "1.5h",
        "2y",
        "''",
        "h",
        "{idle_minutes: -1}",
        "{wait_for: ever}",
        "{idle: 5}",
    ] {
        assert_eq!(
            faults(&format!("{{autostop: {wrong}}}")).len(),
            1,
            "{wrong}"
        );
    }
    let off = candidates("{autostop: 5, any_of: [{autostop: false}, {}]}").expect("valid");
    assert!(off[0].autostop.is_none() && off[1].autostop.is_some());
}

#[test]
fn disks_are_exact_and_the_usual_size_is_none() {
    let disk = |form: &str| only(&format!("{{disk_size: {form}}}")).disk_bytes;
    assert_eq!(disk("512"), Some(512 * GB));
    assert_eq!(disk("1TB"), Some(1000 * GB));
    assert_eq!(disk("'1Ti'"), Some(1 << 40));
    assert_eq!(disk("1500MB"), Some(1_500_000_000));
    assert_eq!(disk("256GB"), None);
    for wrong in ["0", "50.5", "'50+'", "big", "-1", "99999999999999999999"] {
        assert_eq!(
            faults(&format!("{{disk_size: {wrong}}}")).len(),
            1,
            "{wrong}"
        );
    }
}

#[test]
fn further_fields_are_kept_in_one_form() {
    let others = |resources: &str| json!(only(resources).others);
    assert_eq!(
        others(
            "{disk_tier: BEST, network_tier: best, local_disk: SSD, priority: -5, priority_class: ' x '}"
        ),
        json!({"disk_tier": "best", "network_tier": "best", "local_disk": "ssd:100+", "priority": -5, "priority_class": "x"})
    );
    assert_eq!(
        others("{job_recovery: failover}"),
        json!({"job_recovery": {"strategy": "FAILOVER"}})
    );
    assert_eq!(
        others("{job_recovery: {max_restarts_on_errors: 3, recover_on_exit_codes: [33, 34]}}"),
        json!({"job_recovery": {"strategy": null, "max_restarts_on_errors": 3, "recover_on_exit_codes": [33, 34]}})
    );
    assert_eq!(
        others("{job_recovery: FAILOVER, any_of: [{job_recovery: none}]}"),
        json!({})
    );
    for wrong in [
        "{disk_tier: fast}",
        "{network_tier: slow}",
        "{local_disk: hdd}",
        "{local_disk: 'nvme:0'}",
        "{priority: 1001}",
        "{priority: high}",
        "{max_hourly_cost: 0}",
        "{use_spot: maybe}",
        "{job_recovery: {recover_on_exit_codes: 256}}",
        "{job_recovery: {strategy: hope}}",
        "{accelerator_args: {speed: 1}}",
    ] {
        assert_eq!(faults(wrong).len(), 1, "{wrong}");
    }
}

#[test]
fn fields_that_only_other_clouds_know_are_explained() {
    let text = "
resources:
  disk_tier: high
  local_disk: nvme
  max_hourly_cost: 3.5
  accelerator_args: {tpu_vm: true}
  ephemeral_storage: 10
  volumes: [{name: a, path: /mnt/a}]
  autostop: {idle_minutes: 5, hook: ./save.sh}
  any_of: [{disk_tier: low}]
  _requires_fuse: true
run: id
";
    let found = task(text, ResourceOverrides::default()).expect("valid");
    let mut paths: Vec<&str> = found
        .remarks
        .iter()
        .map(|remark| remark.path.as_str())
        .collect();
    paths.sort_unstable();
    let expected = [
        "accelerator_args",
        "any_of[0].disk_tier",
        "autostop.hook",
        "disk_tier",
        "ephemeral_storage",
        "local_disk",
        "max_hourly_cost",
        "volumes",
    ];
    assert_eq!(paths, expected.map(|path| format!("resources.{path}")));
}

#[test]
fn flags_apply_to_every_candidate() {
    let text = "
resources:
  disk_tier: high
  any_of: [{infra: aws, cpus: 1, ports: 80}, {region: here, cpus: 2, gpus: {L4: 1}}]
run: id
";
    let flags = ResourceOverrides {
        infra: Some("k8s/there".to_owned()),
        memory: Some("7".to_owned()),
        accelerators: Some("T4:2".to_owned()),
        image_id: Some("docker:debian".to_owned()),
        disk_size: Some("300".to_owned()),
        disk_tier: Some("none".to_owned()),
        network_tier: Some("BEST".to_owned()),
        priority: Some("7".to_owned()),
        ports: vec!["90".to_owned(), "91-92".to_owned()],
        use_spot: Some(true),
        ..ResourceOverrides::default()
    };
    let found = task(text, flags).expect("valid").resources;
    assert_eq!(
        found.iter().map(|one| one.milli_cpu).collect::<Vec<_>>(),
        [1000, 2000]
    );
    for one in &found {
        assert_eq!(one.infra.as_ref().and_then(Infra::context), Some("there"));
        assert_eq!(one.memory_bytes, 7 * GB);
        assert_eq!(
            one.accelerators
                .as_ref()
                .map(ToString::to_string)
                .as_deref(),
            Some("T4:2")
        );
        assert_eq!(one.image.as_deref(), Some("debian"));
        assert_eq!(one.disk_bytes, Some(300 * GB));
        assert_eq!(
            one.ports
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ["90-92"]
        );
        assert!(one.use_spot);
        assert_eq!(
            json!(one.others),
            json!({"network_tier": "best", "priority": 7})
        );
    }
}

#[test]
fn the_word_none_takes_every_field_back() {
    let text = "
resources: {infra: k8s/a, cpus: 8, memory: 9, gpus: L4, image_id: x, disk_size: 10, disk_tier: low, network_tier: best,
  local_disk: nvme, priority: 5, priority_class: c, ports: 80}
run: id
";
    let none = || Some("none".to_owned());
    let flags = ResourceOverrides {
        infra: none(),
        cpus: none(),
        memory: none(),
        accelerators: none(),
        instance_type: none(),
        disk_size: none(),
        disk_tier: none(),
        network_tier: none(),
        local_disk: none(),
        image_id: none(),
        priority: none(),
        ports: vec!["None".to_owned()],
        use_spot: None,
    };
    let plain = ResolvedResources {
        milli_cpu: 2000,
        memory_bytes: 2 * GB,
        ..ResolvedResources::default()
    };
    assert_eq!(task(text, flags).expect("valid").resources, [plain]);
}

#[test]
fn wrong_flags_are_told_by_their_names() {
    let wrong = |text: &str| Some(text.to_owned());
    let flags = ResourceOverrides {
        infra: wrong("moon"),
        accelerators: wrong("L4:0"),
        instance_type: wrong("huge"),
        disk_size: wrong("big"),
        disk_tier: wrong("fast"),
        network_tier: wrong("slow"),
        local_disk: wrong("hdd"),
        image_id: wrong("a b"),
        priority: wrong("1001"),
        ports: vec!["none".to_owned(), "80".to_owned()],
        ..ResourceOverrides::default()
    };
    let found = task("run: id", flags).expect_err("all wrong");
    let flags = [
        "infra",
        "gpus",
        "instance-type",
        "disk-size",
        "disk-tier",
        "network-tier",
        "local-disk",
        "image-id",
        "priority",
        "ports",
    ];
    assert_eq!(found.len(), flags.len(), "{found:?}");
    for flag in flags {
        let name = format!("`--{flag}`");
        assert!(
            found.iter().any(|fault| fault.contains(&name)),
            "{name}: {found:?}"
        );
    }
    let class = ResourceOverrides {
        priority: wrong("research"),
        ..ResourceOverrides::default()
    };
    let found = task("resources: {priority: 3}\nrun: id", class).expect("a class by its name");
    assert_eq!(
        json!(found.first().others),
        json!({"priority_class": "research"})
    );
}

proptest! {
    #[test]
    fn amounts_are_exact(cpus in 1_u64..10_000_000, bytes in 1_u64..1_000_000_000_000_000) {
        let decimal = |amount: u64, unit: u64| format!("{}.{:0width$}", amount / unit, amount % unit, width = unit.ilog10() as usize);
        let one = only(&format!("{{cpus: '{}', memory: '{}'}}", decimal(cpus, 1000), decimal(bytes, GB)));
        prop_assert_eq!((one.milli_cpu, one.memory_bytes), (cpus, bytes));
    }

    #[test]
    fn ports_read_back_as_they_are_shown(ranges in prop::collection::vec((1_u16.., 0_u16..50), 1..20)) {
        let ranges: Vec<String> = ranges.iter().map(|(first, more)| format!("'{first}-{}'", first.saturating_add(*more))).collect();
        let once = only(&format!("{{ports: [{}]}}", ranges.join(", "))).ports;
        let shown: Vec<String> = once.iter().map(|range| format!("'{range}'")).collect();
        let twice = only(&format!("{{ports: [{}]}}", shown.join(", "))).ports;
        prop_assert_eq!(&once, &twice);
        for (range, next) in once.iter().zip(once.iter().skip(1)) {
            prop_assert!(u32::from(range.last) + 1 < u32::from(next.first));
        }
    }
}

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
