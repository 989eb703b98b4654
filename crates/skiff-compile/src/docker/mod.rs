//! Docker inside the pod: a daemon or a builder in a sidecar, its tools and its socket in the task container.

mod build;
mod cache;
mod data;
mod error;
mod fitness;
mod logins;
mod resources;
mod settings;
mod sidecar;

use k8s_openapi::api::core::v1::{
    Container, EmptyDirVolumeSource, PodSecurityContext, PodSpec, VolumeMount,
};
use skiff_proto::paths;
use skiff_schema::{Conflict, ConflictKind, DockerMode, DockerStorage};

use crate::container::{mount, variable};
use crate::pod::{GRACE_SECONDS, empty_dir};
use crate::{CompileError, Input, Version, labels};

pub(crate) use self::data::{disk_of_rank, disks, name_claim};
pub use self::error::DockerError;
pub use self::fitness::unfit_for_docker;
pub(crate) use self::logins::lend as lend_logins;
pub(crate) use self::resources::requested;

/// Native sidecars are on by default from here on, in the API server and in the kubelet.
const NATIVE_SIDECARS: Version = Version::v1(29);
/// Seconds that the daemon has after the task's own.
const DAEMON_GRACE_SECONDS: i64 = 10;
/// Name of the volume that is `/tmp` of the task and of the daemon.
const TMP_VOLUME: &str = "tmp";

/// Refuses what cannot be, before anything is made of it; then what of the configuration has no use in this mode.
pub(crate) fn check(input: &Input<'_>) -> Result<Vec<String>, CompileError> {
    let config = &input.config.docker;
    if config.mode == DockerMode::Off {
        return Ok(Vec::new());
    }
    let (idle, impossible): (Vec<Conflict>, Vec<Conflict>) = config
        .conflicts()
        .into_iter()
        .partition(|conflict| conflict.kind == ConflictKind::Idle);
    if !impossible.is_empty() {
        return Err(DockerError::Conflicts(impossible).into());
    }
    cache::check(input)?;
    data::check_disks(input)?;
    let notes = idle.into_iter();
    let notes = notes.map(|it| {
        format!(
            "`enable_docker.{}` is passed over: {}",
            it.field, it.message
        )
    });
    Ok(notes.collect())
}

/// Refuses what `pod_config` has made of the pod, where Docker cannot be in it; then what may go wrong.
pub(crate) fn check_pod(input: &Input<'_>, spec: &PodSpec) -> Result<Vec<String>, CompileError> {
    let config = &input.config.docker;
    if config.mode != DockerMode::All {
        return Ok(Vec::new());
    }
    if spec.host_network == Some(true) {
        return Err(DockerError::HostNetwork.into());
    }
    let init = spec.init_containers.iter().flatten();
    let mut sidecar = spec.containers.iter().chain(init);
    let sidecar = sidecar.find(|container| container.name == labels::DOCKER_CONTAINER);
    let is_chosen = config.cache_volume.is_some() || config.storage != DockerStorage::default();
    if let Some(sidecar) = sidecar.filter(|_| is_chosen)
        && let Some(volume) = data::replaced(sidecar, paths::DOCKER_DATA)
    {
        let error = DockerError::DataReplaced {
            volume: volume.to_owned(),
            path: paths::DOCKER_DATA.to_owned(),
            container: sidecar.name.clone(),
        };
        return Err(error.into());
    }
    if spec.host_users == Some(false) {
        let note = "`hostUsers: false` leaves the Docker daemon without rights over its own control groups on the \
                    container runtimes of today: it may not start, or not keep nested containers within the pod's limits";
        return Ok(vec![note.to_owned()]);
    }
    Ok(Vec::new())
}

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
    let is_native = has_native_sidecars(input);
    let arguments: &[&str] = if is_native {
        &["docker"]
    } else {
        // Ended together with the task, it would be gone before the job is.
        &["docker", "--until-marker"]
    };
    let mut sidecar = sidecar::container(input, arguments);
    let volumes = spec.volumes.get_or_insert_default();
    volumes.push(empty_dir(TMP_VOLUME, EmptyDirVolumeSource::default()));
    data::add(input, spec, &mut sidecar, paths::DOCKER_DATA);
    if is_native {
        sidecar.restart_policy = Some("Always".to_owned());
        spec.init_containers.get_or_insert_default().push(sidecar);
    } else {
        spec.containers.insert(0, sidecar);
    }
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
