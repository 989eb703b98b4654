//! Flags over the file.

use serde_json::json;
use skiff_schema::{Infra, ResolvedResources, ResourceOverrides};

use crate::{GB, task};

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
