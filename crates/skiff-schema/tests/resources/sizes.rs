//! CPUs, memory, accelerators and disks: forms, defaults, exact amounts.

use proptest::prelude::*;
use skiff_schema::Infra;

use crate::{GB, candidates, faults, only, sizes};

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
        ("'A100:many'", "`A100:many` needs a number of accelerators"),
        (
            "'A100:0.0001'",
            "`A100:0.0001` needs a number of accelerators",
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

proptest! {
    #[test]
    fn amounts_are_exact(cpus in 1_u64..10_000_000, bytes in 1_u64..1_000_000_000_000_000) {
        let decimal = |amount: u64, unit: u64| format!("{}.{:0width$}", amount / unit, amount % unit, width = unit.ilog10() as usize);
        let one = only(&format!("{{cpus: '{}', memory: '{}'}}", decimal(cpus, 1000), decimal(bytes, GB)));
        prop_assert_eq!((one.milli_cpu, one.memory_bytes), (cpus, bytes));
    }
}
