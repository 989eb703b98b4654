//! The files of volumes: what they mean, what is missing, what flags change.

use skiff_schema::{Faults, Volume, VolumeKind, VolumeOverrides};

/// The file of `SkyPilot`'s documentation.
const SKYPILOTS: &str = "\
name: my-builder-cache
type: k8s-pvc
infra: k8s
size: 50Gi
config:
  storage_class_name: standard-rwo
  access_mode: ReadWriteOnce
";

fn read_with(text: &str, flags: &VolumeOverrides) -> Result<Volume, Faults> {
    Volume::read_bytes("volume.yaml", text.as_bytes(), flags)
}

fn read(text: &str) -> Volume {
    read_with(text, &VolumeOverrides::default()).expect("a valid volume")
}

fn told(faults: &Faults) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

fn refused(text: &str) -> Vec<String> {
    told(&read_with(text, &VolumeOverrides::default()).expect_err("a wrong volume"))
}

#[test]
fn skypilots_own_example_is_read_as_it_stands() {
    let volume = read(SKYPILOTS);
    assert_eq!(volume.name, "my-builder-cache");
    assert_eq!(
        volume
            .infra
            .and_then(|infra| infra.context().map(str::to_owned)),
        None
    );
    let VolumeKind::Claim(claim) = volume.kind;
    assert_eq!(claim.bytes, Some(50 << 30));
    assert_eq!(claim.storage_class.as_deref(), Some("standard-rwo"));
    assert_eq!(claim.mode_of_new(), "ReadWriteOnce");
    assert!(!claim.use_existing);
    assert!(volume.notes.is_empty());
}

#[test]
fn a_size_may_have_any_unit_or_none() {
    for (size, bytes) in [
        ("50", 50_000_000_000_u64),
        ("\"50\"", 50_000_000_000),
        ("50GB", 50_000_000_000),
        ("50Gi", 50 << 30),
        ("50gi", 50 << 30),
        ("2Ti", 2 << 40),
        ("2048Mi", 2 << 30),
        ("1T", 1_000_000_000_000),
    ] {
        let volume = read(&format!("name: a\ntype: k8s-pvc\nsize: {size}\n"));
        let VolumeKind::Claim(claim) = volume.kind;
        assert_eq!(claim.bytes, Some(bytes), "{size}");
    }
    for size in ["0", "10Mi", "many", "50+", "2x", "-1"] {
        let faults = refused(&format!("name: a\ntype: k8s-pvc\nsize: {size}\n"));
        assert!(faults[0].contains("`size`"), "{size}: {faults:?}");
    }
}

#[test]
fn what_is_missing_is_told_all_at_once_and_a_flag_may_give_it() {
    assert_eq!(
        refused("infra: k8s\n"),
        [
            "volume.yaml:1:1: `name` is missing",
            "volume.yaml:1:1: `type` is missing",
            "volume.yaml:1:1: `size` is missing",
        ]
    );
    let flags = VolumeOverrides {
        name: Some("a".to_owned()),
        kind: Some("k8s-pvc".to_owned()),
        size: Some("10Gi".to_owned()),
        ..VolumeOverrides::default()
    };
    assert_eq!(
        read_with("infra: k8s\n", &flags).expect("complete").name,
        "a"
    );
    assert_eq!(Volume::from_flags(&flags).expect("complete").name, "a");
    let nothing = Volume::from_flags(&VolumeOverrides::default()).expect_err("nothing is said");
    assert_eq!(told(&nothing)[0], "`name` is missing");
}

#[test]
fn a_claim_that_exists_needs_no_size() {
    let volume = read("name: a\ntype: k8s-pvc\nuse_existing: true\n");
    let VolumeKind::Claim(claim) = volume.kind;
    assert!(claim.use_existing);
    assert_eq!(claim.bytes, None);
}

#[test]
fn flags_win_over_the_file_and_are_told_by_their_names() {
    let flags = VolumeOverrides {
        name: Some("other".to_owned()),
        size: Some("80Gi".to_owned()),
        infra: Some("k8s/team".to_owned()),
        ..VolumeOverrides::default()
    };
    let volume = read_with(SKYPILOTS, &flags).expect("a valid volume");
    assert_eq!(volume.name, "other");
    assert_eq!(volume.infra.expect("a flag").context(), Some("team"));
    let VolumeKind::Claim(claim) = volume.kind;
    assert_eq!(claim.bytes, Some(80 << 30));

    let wrong = VolumeOverrides {
        size: Some("huge".to_owned()),
        ..VolumeOverrides::default()
    };
    let faults = read_with(SKYPILOTS, &wrong).expect_err("a wrong flag");
    assert_eq!(
        told(&faults),
        ["`--size`: `huge` is not the size of a volume"]
    );
}

#[test]
fn what_cannot_be_is_told_with_its_place() {
    for (text, fault) in [
        (
            "name: My_Cache",
            "1:7: `name`: `My_Cache` cannot be the name of a volume",
        ),
        (
            "name: ../etc",
            "1:7: `name`: `../etc` cannot be the name of a volume",
        ),
        (
            "name: a b",
            "1:7: `name`: `a b` cannot be the name of a volume",
        ),
        (
            "name: 12",
            "1:7: `name` must be the name of a volume, and this is a whole number",
        ),
        (
            "type: k8s-hostpath",
            "1:7: `type`: volumes of the kind `k8s-hostpath` are not there yet",
        ),
        (
            "type: k8s-pvcs",
            "1:7: `type`: `k8s-pvcs` is no kind of volume",
        ),
        (
            "infra: aws",
            "1:8: `infra`: Skiff runs on Kubernetes only, not on `aws`",
        ),
        ("sise: 5Gi", "1:1: unknown field `sise`"),
        (
            "config: {access_mode: ReadOnce}",
            "1:23: `config.access_mode`: `ReadOnce` is not known here",
        ),
        (
            "config: {storage_class_name: a/../b}",
            "1:30: `config.storage_class_name`: `a/../b` is not the name of a storage class",
        ),
        (
            "config: {namespace: kube/system}",
            "1:21: `config.namespace`: `kube/system` is not the name of a namespace",
        ),
        (
            "labels: {skiff.dev/volume: x}",
            "1:10: `labels`: the key `skiff.dev/volume` is Skiff's own",
        ),
        (
            "[name, a]",
            "1:1: a volume must be a mapping, and this is a list",
        ),
        (
            "name: a\n---\nname: b",
            "3:1: a volume must be one document",
        ),
    ] {
        let faults = refused(text);
        let expected = format!("volume.yaml:{fault}");
        assert!(faults.contains(&expected), "{text}: {faults:#?}");
    }
    let long = "a".repeat(64);
    let faults = refused(&format!("name: {long}\ntype: k8s-pvc\nsize: 1Gi\n"));
    assert!(faults[0].contains("cannot be the name"), "{faults:?}");
}

#[test]
fn fields_of_another_kind_are_noted() {
    let volume = read(&format!("{SKYPILOTS}  host_path: /data\n"));
    assert_eq!(volume.notes.len(), 1);
    assert!(volume.notes[0].starts_with("`config.host_path` is ignored"));
}
