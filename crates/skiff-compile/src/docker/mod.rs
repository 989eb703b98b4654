//! Docker inside the pod: a daemon or a builder in a sidecar, its tools and its socket in the task container.

mod build;
mod data;
mod resources;
mod settings;
mod sidecar;

use k8s_openapi::api::core::v1::{
    Container, EmptyDirVolumeSource, PodSecurityContext, PodSpec, VolumeMount,
};
use skiff_proto::paths;
use skiff_schema::DockerMode;

use crate::container::{mount, variable};
use crate::pod::{GRACE_SECONDS, empty_dir};
use crate::{Input, Version, labels};

/// Native sidecars are on by default from here on, in the API server and in the kubelet.
const NATIVE_SIDECARS: Version = Version::v1(29);
/// Seconds that the daemon has after the task's own.
const DAEMON_GRACE_SECONDS: i64 = 10;
/// Name of the volume that is `/tmp` of the task and of the daemon.
const TMP_VOLUME: &str = "tmp";

/// Adds what the configured mode needs to the pod of a task.
pub(crate) fn add(input: &Input<'_>, spec: &mut PodSpec) {
    match input.config.docker.mode {
        DockerMode::Off => {}
        DockerMode::All => add_all(input, spec),
        DockerMode::Build => build::add(input, spec),
    }
}

/// Looks again at the pod once the user's changes are in it.
pub(crate) fn settle(input: &Input<'_>, spec: &mut PodSpec) {
    if input.config.docker.mode == DockerMode::Build {
        build::settle(spec);
    }
    lend_mounts(spec);
}

/// An annotation that the pod needs for its mode.
pub(crate) fn annotation(input: &Input<'_>) -> Option<(String, String)> {
    let builds = input.config.docker.mode == DockerMode::Build;
    builds.then(|| build::annotation(input)).flatten()
}

/// Whether sidecars start before the task and end after it by themselves.
fn has_native_sidecars(input: &Input<'_>) -> bool {
    let (architectures, allowed) = (&input.agent.architectures, input.allowed_nodes());
    input.facts.pod_version(architectures, allowed) >= NATIVE_SIDECARS
}

fn add_all(input: &Input<'_>, spec: &mut PodSpec) {
    let task = spec
        .containers
        .iter_mut()
        .find(|c| c.name == labels::TASK_CONTAINER);
    connect(task.expect("every pod has a task container"));
    if has_native_sidecars(input) {
        let mut sidecar = sidecar::container(input, &["docker"]);
        sidecar.restart_policy = Some("Always".to_owned());
        spec.init_containers.get_or_insert_default().push(sidecar);
    } else {
        // Ended together with the task, it would be gone before the job is.
        let sidecar = sidecar::container(input, &["docker", "--until-marker"]);
        spec.containers.insert(0, sidecar);
    }
    let volumes = spec.volumes.get_or_insert_default();
    volumes.push(empty_dir(TMP_VOLUME, EmptyDirVolumeSource::default()));
    data::add_volume(input, spec);
    // Whoever the image's user is, this group opens the socket.
    spec.security_context = Some(PodSecurityContext {
        supplemental_groups: Some(vec![i64::from(paths::DOCKER_GROUP)]),
        ..PodSecurityContext::default()
    });
    spec.termination_grace_period_seconds = Some(GRACE_SECONDS + DAEMON_GRACE_SECONDS);
}

/// Mounts in the sidecar what the user has mounted in the task: `docker run -v` means the daemon's
/// own files. What the sidecar has at a path already stays, but for `/tmp`, which is the task's.
fn lend_mounts(spec: &mut PodSpec) {
    let init = spec.init_containers.iter_mut().flatten();
    let mut task = Vec::new();
    let mut daemon = None;
    for container in spec.containers.iter_mut().chain(init) {
        match container.name.as_str() {
            labels::TASK_CONTAINER => task = container.volume_mounts.clone().unwrap_or_default(),
            labels::DOCKER_CONTAINER => daemon = container.volume_mounts.as_mut(),
            _ => {}
        }
    }
    let Some(daemon) = daemon else {
        return;
    };
    for mount in task {
        let present = daemon
            .iter_mut()
            .find(|own| own.mount_path == mount.mount_path);
        match present {
            Some(own) if own.mount_path == "/tmp" && own.name == TMP_VOLUME => *own = mount,
            None if may_be_lent(&mount) => daemon.push(mount),
            Some(_) | None => {}
        }
    }
}

/// The daemon's own system must stay as it is.
fn may_be_lent(mount: &VolumeMount) -> bool {
    const SYSTEM: &[&str] = &[
        "bin", "boot", "dev", "etc", "lib", "lib64", "proc", "run", "sbin", "skiff", "sys", "usr",
        "var",
    ];
    let first = mount.mount_path.trim_start_matches('/').split('/').next();
    first.is_some_and(|first| !first.is_empty() && !SYSTEM.contains(&first))
}

/// Tells the task container where the daemon is, and shares `/tmp` with it.
fn connect(task: &mut Container) {
    task.command
        .get_or_insert_default()
        .push("--docker".to_owned());
    let variables = task.env.get_or_insert_default();
    variables.push(variable(
        "DOCKER_HOST",
        &format!("unix://{}", paths::DOCKER_SOCKET),
    ));
    task.volume_mounts
        .get_or_insert_default()
        .push(mount(TMP_VOLUME, "/tmp"));
}
