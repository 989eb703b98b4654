//! Docker inside the pod: a daemon in a sidecar, its tools and its socket in the task container.

mod sidecar;

use k8s_openapi::api::core::v1::{Container, EmptyDirVolumeSource, PodSecurityContext, PodSpec};
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
/// Name of the volume with images and containers.
const DATA_VOLUME: &str = "docker-data";

/// Adds what the configured mode needs to the pod of a task.
pub(crate) fn add(input: &Input<'_>, spec: &mut PodSpec) {
    match input.config.enable_docker {
        // Launching refuses the sidecar that builds only.
        DockerMode::Off | DockerMode::Build => {}
        DockerMode::All => add_all(input, spec),
    }
}

fn add_all(input: &Input<'_>, spec: &mut PodSpec) {
    let task = spec
        .containers
        .iter_mut()
        .find(|c| c.name == labels::TASK_CONTAINER);
    connect(task.expect("every pod has a task container"));
    if input.facts.pod_version(&input.agent.architectures) >= NATIVE_SIDECARS {
        let mut sidecar = sidecar::container(input, &["docker"]);
        sidecar.restart_policy = Some("Always".to_owned());
        spec.init_containers = Some(vec![sidecar]);
    } else {
        // Ended together with the task, it would be gone before the job is.
        let sidecar = sidecar::container(input, &["docker", "--until-marker"]);
        spec.containers.insert(0, sidecar);
    }
    let volumes = spec.volumes.get_or_insert_default();
    volumes.push(empty_dir(TMP_VOLUME, EmptyDirVolumeSource::default()));
    volumes.push(empty_dir(DATA_VOLUME, EmptyDirVolumeSource::default()));
    // Whoever the image's user is, this group opens the socket.
    spec.security_context = Some(PodSecurityContext {
        supplemental_groups: Some(vec![i64::from(paths::DOCKER_GROUP)]),
        ..PodSecurityContext::default()
    });
    spec.termination_grace_period_seconds = Some(GRACE_SECONDS + DAEMON_GRACE_SECONDS);
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
