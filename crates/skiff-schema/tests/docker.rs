//! `enable_docker`: its spellings, its layers, and what does not go together.

use skiff_schema::{
    Config, ConfigLayer, DockerConfig, DockerMode, Fault, StorageKind, TaskConfig, TaskFile,
    TaskOverrides,
};

fn layer(text: &str) -> ConfigLayer {
    ConfigLayer::read("c.yaml", text).expect("a valid configuration")
}

fn flag(text: &str) -> ConfigLayer {
    ConfigLayer::from_flag(text).expect("a valid flag")
}

fn task(docker: &str) -> TaskConfig {
    let text = format!("config: {{kubernetes: {{enable_docker: {docker}}}}}\nrun: id");
    let file = TaskFile::read("task.yaml", &text).expect("a valid task");
    let task = file.tasks()[0].resolve(&TaskOverrides::default());
    task.expect("a valid task").config
}

fn section(docker: &str) -> String {
    format!("kubernetes: {{enable_docker: {docker}}}")
}

fn read(docker: &str) -> DockerConfig {
    let config = Config::merge([layer(&section(docker))]);
    config.for_context(None).docker
}

/// What is wrong, and what to write instead.
fn refused(docker: &str) -> Vec<(String, String)> {
    let faults = ConfigLayer::read("c.yaml", &section(docker)).expect_err(docker);
    let hint = |fault: &Fault| fault.hint().unwrap_or_default().to_owned();
    let told = faults.iter().map(|fault| (fault.to_string(), hint(fault)));
    told.collect()
}

fn is_refused(docker: &str, message: &str, help: &str) {
    let told = refused(docker);
    let is_it = |(found, hint): &(String, String)| found.contains(message) && hint.contains(help);
    assert!(told.iter().any(is_it), "{docker}: {told:?}");
    assert_eq!(told.len(), 1, "{docker}: {told:?}");
}

#[test]
fn every_spelling_of_skypilot_is_read() {
    for (text, mode) in [
        ("true", DockerMode::All),
        ("yes", DockerMode::All),
        ("false", DockerMode::Off),
        ("~", DockerMode::Off),
        ("ALL", DockerMode::All),
        ("all", DockerMode::All),
        ("BUILD", DockerMode::Build),
        ("build", DockerMode::Build),
        ("{enabled: true}", DockerMode::All),
        ("{enabled: false}", DockerMode::Off),
        ("{enabled: build}", DockerMode::Build),
        ("{mode: ALL}", DockerMode::All),
        ("{mode: build}", DockerMode::Build),
        ("{mode: false}", DockerMode::Off),
    ] {
        let read = read(text);
        assert_eq!((read.mode, read.cache_volume), (mode, None), "{text}");
    }
    for text in [
        "{mode: BUILD, cache_volume: cache}",
        "{enabled: build, cache_volume: cache}",
    ] {
        let read = read(text);
        assert_eq!(read.mode, DockerMode::Build, "{text}");
        assert_eq!(read.cache_volume.as_deref(), Some("cache"), "{text}");
    }
}

#[test]
fn every_field_is_read() {
    let docker = read(
        "{mode: ALL, image: 'docker:28.5-dind', storage: {kind: loop, size: 20Gi}, mtu: 1400,
          resources: {requests: {cpu: 500m, memory: 1Gi}, limits: {cpu: 1.5, memory: 2G, ephemeral-storage: 30Gi}},
          registry_mirrors: ['https://mirror.gcr.io', 'http://m:80/hub/'], insecure_registries: ['registry:5000', 10.0.0.0/8],
          address_pools: [{base: 10.200.0.0/16, size: 24}], allow_slow_storage: true, expose_tcp: on}",
    );
    assert_eq!(docker.image.as_deref(), Some("docker:28.5-dind"));
    assert_eq!(docker.storage.kind, StorageKind::Loop);
    assert_eq!(docker.storage.bytes, Some(20 << 30));
    let (requests, limits) = (docker.resources.requests, docker.resources.limits);
    assert_eq!(
        (
            requests.milli_cpu,
            requests.memory_bytes,
            requests.disk_bytes
        ),
        (Some(500), Some(1 << 30), None)
    );
    assert_eq!(
        (limits.milli_cpu, limits.memory_bytes, limits.disk_bytes),
        (Some(1500), Some(2_000_000_000), Some(30 << 30))
    );
    assert_eq!(
        docker.registry_mirrors,
        ["https://mirror.gcr.io", "http://m:80/hub/"]
    );
    assert_eq!(docker.insecure_registries, ["registry:5000", "10.0.0.0/8"]);
    assert_eq!(docker.address_pools[0].base, "10.200.0.0/16");
    assert_eq!(docker.address_pools[0].size, 24);
    assert_eq!(docker.mtu, Some(1400));
    assert!(docker.allow_slow_storage && docker.expose_tcp);
    assert_eq!(
        read("{mode: ALL, storage: memory}").storage.kind,
        StorageKind::Memory
    );
}

#[test]
fn an_image_that_is_called_docker_keeps_its_name() {
    for (text, image) in [
        ("docker:28.5-dind", "docker:28.5-dind"),
        (
            "docker:registry.example.com/dind:1",
            "registry.example.com/dind:1",
        ),
        ("registry.example.com/dind:1", "registry.example.com/dind:1"),
    ] {
        let docker = read(&format!("{{mode: ALL, image: '{text}'}}"));
        assert_eq!(docker.image.as_deref(), Some(image));
        let text = format!("kubernetes: {{images: {{docker: '{text}'}}}}");
        let config = Config::merge([layer(&text)]).for_context(None);
        assert_eq!(config.images.docker, image);
    }
}

#[test]
fn what_is_nearer_to_the_launch_wins_field_by_field() {
    let files = "kubernetes:
  enable_docker: {mode: ALL, cache_volume: low, registry_mirrors: ['https://a', 'https://b'], resources: {limits: {cpu: 2}}}
  context_configs:
    here: {enable_docker: {enabled: BUILD, registry_mirrors: ['https://c'], resources: {limits: {memory: 1Gi}}}}
    there: {enable_docker: false}";
    let config = Config::merge([layer(files)]);
    let here = config.for_context(Some("here")).docker;
    assert_eq!(here.mode, DockerMode::Build);
    assert_eq!(here.cache_volume.as_deref(), Some("low"));
    assert_eq!(here.registry_mirrors, ["https://c"]);
    assert_eq!(here.resources.limits.milli_cpu, Some(2000));
    assert_eq!(here.resources.limits.memory_bytes, Some(1 << 30));

    let there = config.for_context(Some("there")).docker;
    assert_eq!(there.mode, DockerMode::Off);
    let there = config.for_task(Some("there"), &task("true")).docker;
    assert_eq!(there.mode, DockerMode::All);
    assert_eq!(there.registry_mirrors, ["https://a", "https://b"]);

    let here = config.for_task(Some("here"), &task("{mode: ALL, cache_volume: high}"));
    assert_eq!(here.docker.mode, DockerMode::All);
    assert_eq!(here.docker.cache_volume.as_deref(), Some("high"));
}

#[test]
fn a_flag_changes_one_field_of_what_is_there() {
    let with = |files: &str, flags: &[&str], own: &str| {
        let layers = std::iter::once(layer(&section(files)));
        let layers = layers.chain(flags.iter().map(|text| flag(text)));
        Config::merge(layers).for_task(None, &task(own)).docker
    };
    let storage = "kubernetes.enable_docker.storage=memory";
    let docker = with("~", &[storage], "true");
    assert_eq!(
        (docker.mode, docker.storage.kind),
        (DockerMode::All, StorageKind::Memory)
    );
    let docker = with(
        "{mode: ALL, mtu: 1400}",
        &["kubernetes.enable_docker=build"],
        "~",
    );
    assert_eq!((docker.mode, docker.mtu), (DockerMode::Build, Some(1400)));
    let docker = with("~", &[storage], "~");
    assert_eq!(docker.mode, DockerMode::Off);
}

#[test]
fn values_that_cannot_be_are_told_with_what_was_meant() {
    for (text, message, help) in [
        ("{cache_volume: c}", "has no `mode`", "mode: ALL"),
        (
            "{mode: ALL, enabled: true}",
            "both `mode` and `enabled`",
            "keep `mode`",
        ),
        (
            "{mode: ALL, chache_volume: c}",
            "unknown field",
            "did you mean `cache_volume`?",
        ),
        (
            "{mode: ALL, cache_volume: 'a b'}",
            "is not the name of a volume",
            "volumes ls",
        ),
        (
            "{mode: ALL, storage: memmory}",
            "is not known here",
            "did you mean `memory`?",
        ),
        (
            "{mode: ALL, storage: {kind: loop, size: 10 potatoes}}",
            "is not a size",
            "512GB",
        ),
        (
            "{mode: ALL, storage: {size: 10Gi}}",
            "has no `kind`",
            "kind: memory",
        ),
        (
            "{mode: ALL, resources: {limits: {memory: 4GB}}}",
            "is not an amount",
            "did you mean `4G`?",
        ),
        (
            "{mode: ALL, resources: {limits: {memory: 4gi}}}",
            "is not an amount",
            "did you mean `4Gi`?",
        ),
        (
            "{mode: ALL, resources: {limits: {memory: 512m}}}",
            "is next to nothing",
            "512Mi",
        ),
        (
            "{mode: ALL, resources: {limits: {memory: 4}}}",
            "is next to nothing",
            "4Gi",
        ),
        (
            "{mode: ALL, resources: {limits: {cpu: 2G}}}",
            "is not an amount of CPU",
            "500m",
        ),
        (
            "{mode: ALL, resources: {limits: {cpu: 0}}}",
            "must be more than 0",
            "500m",
        ),
        (
            "{mode: ALL, resources: {limit: {cpu: 1}}}",
            "unknown field",
            "did you mean `limits`?",
        ),
    ] {
        is_refused(text, message, help);
    }
}

#[test]
fn addresses_that_cannot_be_are_told_with_what_was_meant() {
    for (text, message, help) in [
        (
            "{mode: ALL, registry_mirrors: [mirror.gcr.io]}",
            "has no scheme",
            "`https://mirror.gcr.io`",
        ),
        (
            "{mode: ALL, registry_mirrors: ['https://m/path?a=b']}",
            "is not the address",
            "a path at most",
        ),
        (
            "{mode: ALL, registry_mirrors: ['https://me:x@m']}",
            "holds a log-in",
            "registries.md",
        ),
        (
            "{mode: ALL, insecure_registries: ['http://r:5000']}",
            "neither a registry nor",
            "`r:5000`",
        ),
        (
            "{mode: ALL, insecure_registries: ['r:99999']}",
            "neither a registry nor",
            "10.0.0.0/8",
        ),
        (
            "{mode: ALL, address_pools: [{base: 10.200.0.0, size: 24}]}",
            "is not a network",
            "/16",
        ),
        (
            "{mode: ALL, address_pools: [{base: 10.200.0.0/33, size: 24}]}",
            "is not a network",
            "/16",
        ),
        (
            "{mode: ALL, address_pools: [{base: 10.200.1.0/16, size: 24}]}",
            "within a network",
            "`10.200.0.0/16`",
        ),
        (
            "{mode: ALL, address_pools: [{base: 10.200.0.0/24, size: 16}]}",
            "larger than the pool",
            "from 24 to 30",
        ),
        (
            "{mode: ALL, address_pools: [{base: 10.200.0.0/24, size: 31}]}",
            "no room",
            "from 24 to 30",
        ),
        ("{mode: ALL, mtu: 20}", "must be from 68 to 65535", ""),
        (
            "{mode: BUILD, builder: buildah}",
            "unknown field",
            "`allow_slow_storage`",
        ),
    ] {
        is_refused(text, message, help);
    }
}

#[test]
fn what_does_not_go_together_is_told_with_what_to_write() {
    for (text, message, help) in [
        (
            "{mode: ALL, cache_volume: c, storage: memory}",
            "`memory` ends with the pod",
            "one of the two",
        ),
        (
            "{mode: ALL, cache_volume: c, storage: {kind: block, size: 9}}",
            "`block` ends",
            "one of the two",
        ),
        (
            "{mode: BUILD, storage: loop}",
            "cannot mount a disk image",
            "storage: memory",
        ),
        (
            "{mode: BUILD, storage: {kind: block, size: 9}}",
            "cannot mount a block device",
            "storage: memory",
        ),
        (
            "{mode: ALL, storage: block}",
            "needs a size",
            "kind: block, size",
        ),
        (
            "{mode: ALL, storage: {kind: memory, size: 4Gi}, resources: {limits: {memory: 4Gi}}}",
            "counts as the sidecar's",
            "raise the limit",
        ),
        (
            "{mode: ALL, storage: {kind: auto, size: 4Gi}, resources: {limits: {ephemeral-storage: 1Gi}}}",
            "at which the kubelet evicts the pod",
            "raise the limit",
        ),
        (
            "{mode: ALL, resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}}",
            "the request of `memory` is more than its limit",
            "raise the limit",
        ),
        (
            "{mode: BUILD, mtu: 1400}",
            "the pod's own network",
            "mode: ALL",
        ),
        (
            "{mode: BUILD, expose_tcp: true}",
            "no Docker daemon",
            "mode: ALL",
        ),
        (
            "{mode: BUILD, address_pools: [{base: 10.200.0.0/16, size: 24}]}",
            "the pod's own network",
            "mode: ALL",
        ),
        (
            "{mode: BUILD, insecure_registries: [10.0.0.0/8]}",
            "by name only",
            "registry.example.com:5000",
        ),
    ] {
        is_refused(text, message, help);
    }
    // None of them matters where there is no Docker.
    read("{mode: false, storage: block}");
}

#[test]
fn the_section_of_a_context_and_a_task_are_looked_at_too() {
    let text = "kubernetes: {context_configs: {a: {enable_docker: {mode: BUILD, mtu: 1400}}}}";
    let faults = ConfigLayer::read("c.yaml", text).expect_err("wrong");
    let told = faults.iter().map(ToString::to_string).collect::<String>();
    assert!(
        told.contains("`kubernetes.context_configs.a.enable_docker.mtu`"),
        "{told}"
    );
    let text = "config:\n  kubernetes:\n    enable_docker: {mode: BUILD, mtu: 1400}\nrun: id";
    let file = TaskFile::read("task.yaml", text);
    let faults = file.expect_err("wrong");
    let told = faults.iter().map(ToString::to_string).collect::<String>();
    assert!(
        told.contains("task.yaml:3") && told.contains("`config.kubernetes.enable_docker.mtu`"),
        "{told}"
    );
}
