//! The pod of a task that builds images only: a builder without privileges in a sidecar, Docker's tools, no daemon.
//!
//! The builder makes user namespaces and mounts in them, which Kubernetes' profiles for containers forbid: it is told
//! to leave them out, in the way that the API server's version understands.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    AppArmorProfile, Capabilities, Container, PodSecurityContext, PodSpec, SeccompProfile,
    SecurityContext, Volume,
};
use skiff_proto::paths;

use super::resources::resources;
use super::{DAEMON_GRACE_SECONDS, data, settings};
use crate::container::{self, variable};
use crate::pod::GRACE_SECONDS;
use crate::{Input, Version, labels, quantity};

/// The API server keeps the field for `AppArmor` from here on; older ones drop it without a word.
const APP_ARMOR_FIELD: Version = Version::v1(30);
/// User namespaces of pods, and `/proc` without masks in them, are on by default from here on.
const USER_NAMESPACES: Version = Version::v1(33);
/// How older API servers are told the profile of the container that the key goes on with.
const APP_ARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";
/// The user of the builder's image, and of the tools.
const USER: i64 = 1000;
/// The user whom a pod's own user namespace makes harmless.
const ROOT: i64 = 0;

/// Adds the builder and the tools.
pub(super) fn add(input: &Input<'_>, spec: &mut PodSpec) {
    let task = spec
        .containers
        .iter_mut()
        .find(|container| container.name == labels::TASK_CONTAINER);
    connect(task.expect("every pod has a task container"));
    let own_users = may_have_own_users(input);
    let is_native = super::has_native_sidecars(input);
    let arguments: &[&str] = if is_native {
        &["buildkit"]
    } else {
        // Ended together with the task, it would be gone before the job is.
        &["buildkit", "--until-marker"]
    };
    let mut builder = builder(input, own_users, arguments);
    data::add(input, spec, &mut builder, paths::BUILDKIT_DATA);
    if is_native {
        builder.restart_policy = Some("Always".to_owned());
        spec.init_containers.get_or_insert_default().push(builder);
    } else {
        spec.containers.insert(0, builder);
    }
    spec.containers.push(tools(input, own_users));
    spec.host_users = own_users.then_some(false);
    spec.security_context = Some(groups(input));
    spec.termination_grace_period_seconds = Some(GRACE_SECONDS + DAEMON_GRACE_SECONDS);
}

/// Whoever the image's user is, Docker's group opens the sockets. A volume that outlives the pod belongs to root at first:
/// it is given to the group too.
fn groups(input: &Input<'_>) -> PodSecurityContext {
    let group = i64::from(paths::DOCKER_GROUP);
    let has_cache = input.config.docker.cache_volume.is_some();
    PodSecurityContext {
        fs_group: has_cache.then_some(group),
        fs_group_change_policy: has_cache.then(|| "OnRootMismatch".to_owned()),
        supplemental_groups: Some(vec![group]),
        ..PodSecurityContext::default()
    }
}

/// Takes the pod's own user namespace away again where the user's `pod_config` does not go with it; the builder
/// finds out by itself what it has.
pub(super) fn settle(spec: &mut PodSpec) {
    if spec.host_users == Some(false) {
        let on_the_node = [spec.host_network, spec.host_pid, spec.host_ipc];
        let mut volumes = spec.volumes.iter().flatten();
        let is_sandbox = spec.runtime_class_name.is_some();
        if is_sandbox || on_the_node.contains(&Some(true)) || volumes.any(is_remote) {
            spec.host_users = None;
        }
    }
    if spec.host_users == Some(false) {
        return;
    }
    let ours = [labels::BUILDKIT_CONTAINER, labels::TOOLS_CONTAINER];
    let init = spec.init_containers.iter_mut().flatten();
    let all = init.chain(&mut spec.containers);
    let contexts = all
        .filter(|container| ours.contains(&container.name.as_str()))
        .filter_map(|container| container.security_context.as_mut());
    let mut contexts: Vec<_> = contexts.collect();
    if contexts.iter().any(|context| context.proc_mount.is_some()) {
        for context in &mut contexts {
            context.proc_mount = None;
            (context.run_as_user, context.run_as_group) = (Some(USER), Some(USER));
        }
    }
}

/// The annotation that leaves the profile of `AppArmor` out, where the API server knows no field for it.
pub(super) fn annotation(input: &Input<'_>) -> Option<(String, String)> {
    (input.facts.server < APP_ARMOR_FIELD).then(|| {
        let key = format!("{APP_ARMOR_ANNOTATION}{}", labels::BUILDKIT_CONTAINER);
        (key, "unconfined".to_owned())
    })
}

/// Whether every node that may run the pod gives it users of its own.
fn may_have_own_users(input: &Input<'_>) -> bool {
    let (architectures, allowed) = (&input.agent.architectures, input.allowed_nodes());
    let mut nodes = input
        .facts
        .eligible_nodes(architectures, allowed)
        .peekable();
    nodes.peek().is_some()
        && nodes.all(|node| node.user_namespaces)
        && input.facts.pod_version(architectures, allowed) >= USER_NAMESPACES
}

/// Whether a volume lies on a file system that cannot show a pod's own users.
fn is_remote(volume: &Volume) -> bool {
    volume.nfs.is_some()
        || volume.cephfs.is_some()
        || volume.azure_file.is_some()
        || volume.glusterfs.is_some()
        || volume.quobyte.is_some()
}

/// Whom the builder and the tools run as.
fn user(own_users: bool) -> i64 {
    if own_users { ROOT } else { USER }
}

/// The builder.
fn builder(input: &Input<'_>, own_users: bool, arguments: &[&str]) -> Container {
    let images = &input.config.images;
    let image = input
        .config
        .docker
        .image
        .as_ref()
        .unwrap_or(&images.buildkit);
    let name = labels::BUILDKIT_CONTAINER;
    let mut container = container::agent_container(input, name, image, arguments);
    let mut variables = vec![
        variable("SKIFF_CLUSTER", &input.ids.cluster),
        buildkit_host(),
    ];
    variables.extend(settings::variables(input));
    container.env = Some(variables);
    container.resources = Some(resources(input));
    let unconfined = || "Unconfined".to_owned();
    let user = user(own_users);
    container.security_context = Some(SecurityContext {
        app_armor_profile: (input.facts.server >= APP_ARMOR_FIELD).then(|| AppArmorProfile {
            type_: unconfined(),
            ..AppArmorProfile::default()
        }),
        // Its build steps get a `/proc` of their own only where nothing of the container's is hidden.
        proc_mount: own_users.then(|| "Unmasked".to_owned()),
        run_as_group: Some(user),
        run_as_user: Some(user),
        seccomp_profile: Some(SeccompProfile {
            type_: unconfined(),
            ..SeccompProfile::default()
        }),
        ..SecurityContext::default()
    });
    container
}

/// The image that Docker's tools come from, as a container that has no rights at all. It stays until the agent leaves:
/// a pod with a container that has ended never counts as ready.
///
/// Its user is the builder's: both put programs into the same folders.
fn tools(input: &Input<'_>, own_users: bool) -> Container {
    let image = &input.config.images.docker;
    let arguments = ["tools", "--stay"];
    let mut container =
        container::agent_container(input, labels::TOOLS_CONTAINER, image, &arguments);
    container.resources = Some(no_cpu());
    let user = user(own_users);
    container.security_context = Some(SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            ..Capabilities::default()
        }),
        run_as_group: Some(user),
        run_as_user: Some(user),
        ..SecurityContext::default()
    });
    container
}

/// Written out: a namespace's `LimitRange` fills in its default where nothing is written, and a task that just fits a
/// node would no longer fit.
fn no_cpu() -> k8s_openapi::api::core::v1::ResourceRequirements {
    container::requests(BTreeMap::from([("cpu", quantity::cpu(0))]))
}

/// Tells the task container where the builder is.
fn connect(task: &mut Container) {
    task.command
        .get_or_insert_default()
        .push("--buildkit".to_owned());
    let host = variable("DOCKER_HOST", &format!("unix://{}", paths::DOCKER_SOCKET));
    task.env
        .get_or_insert_default()
        .extend([host, buildkit_host()]);
}

fn buildkit_host() -> k8s_openapi::api::core::v1::EnvVar {
    variable(
        "BUILDKIT_HOST",
        &format!("unix://{}", paths::BUILDKIT_SOCKET),
    )
}
