//! Images, ports, labels, `autostop` and the further fields.

use proptest::prelude::*;
use serde_json::json;
use skiff_schema::ResourceOverrides;

use crate::{candidates, faults, only, task};

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
        ("{image_id: ''}", "the image is empty"),
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
            "the key `-a` is none that Kubernetes takes",
        ),
        ("{a b: b}".to_owned(), "the key `a b`"),
        ("{/a: b}".to_owned(), "has a prefix that is no domain"),
        (
            "{Example.com/a: b}".to_owned(),
            "has a prefix that is no domain",
        ),
        (
            "{a/b/c: d}".to_owned(),
            "the key `a/b/c` is none that Kubernetes takes",
        ),
        (format!("{{{long}: b}}"), "is too long"),
        (format!("{{a: {long}}}"), "is too long"),
        (
            "{a: b c}".to_owned(),
            "`resources.labels.a`: the value `b c` of a label is none",
        ),
        (
            "{skiff.dev/cluster: other}".to_owned(),
            "the key `skiff.dev/cluster` is Skiff's own",
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

proptest! {
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
