//! What a user's `pod_config` must leave as it is, because the pod would be no Skiff pod without it.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec, Volume, VolumeMount};
use skiff_proto::paths;

use crate::CompileError;
use crate::container::{KEYS_VOLUME, PARTS_VOLUME, SHARED_VOLUME};

/// Compares a pod after `pod_config` with what it was.
pub(crate) fn check(own: &PodSpec, changed: &PodSpec) -> Result<(), CompileError> {
    if changed.restart_policy.as_deref() == Some("Always") {
        return refuse(
            "spec.restartPolicy",
            "with `Always` the pod would come back when its cluster ends",
        );
    }
    if changed.ephemeral_containers.is_some() {
        return refuse(
            "spec.ephemeralContainers",
            "Kubernetes takes none when a pod is created",
        );
    }
    for name in [SHARED_VOLUME, PARTS_VOLUME, KEYS_VOLUME] {
        let of = |spec: &PodSpec| volume(spec, name).cloned();
        if of(own) != of(changed) {
            let field = format!("the volume `{name}`");
            return refuse(field, "the agent lives there");
        }
    }
    for (list, before, after) in [
        (
            "containers",
            Some(&own.containers),
            Some(&changed.containers),
        ),
        (
            "initContainers",
            own.init_containers.as_ref(),
            changed.init_containers.as_ref(),
        ),
    ] {
        for container in before.into_iter().flatten() {
            let mut present = after.into_iter().flatten();
            let present = present.find(|present| present.name == container.name);
            let Some(present) = present else {
                let field = format!("spec.{list}: it takes away `{}`", container.name);
                return refuse(field, "the cluster cannot be without it");
            };
            check_container(list, container, present)?;
        }
    }
    check_names(changed)
}

fn check_container(list: &str, own: &Container, changed: &Container) -> Result<(), CompileError> {
    let field = |name: &str| format!("spec.{list}: `{name}` of the container `{}`", own.name);
    if own.command != changed.command {
        return refuse(field("command"), "it starts the agent");
    }
    if changed.args.as_ref().is_some_and(|args| !args.is_empty()) {
        return refuse(field("args"), "they would be the agent's");
    }
    if own_mounts(own) != own_mounts(changed) {
        return refuse(
            field("volumeMounts"),
            "the agent lives under `/skiff`; mount elsewhere",
        );
    }
    if own_variables(own) != own_variables(changed) {
        return refuse(field("env"), "the variables `SKIFF_…` are the agent's");
    }
    Ok(())
}

/// Mounts under the agent's folder.
fn own_mounts(container: &Container) -> Vec<&VolumeMount> {
    let mounts = container.volume_mounts.iter().flatten();
    mounts
        .filter(|mount| {
            let rest = mount.mount_path.strip_prefix(paths::ROOT);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
        .collect()
}

fn own_variables(container: &Container) -> Vec<&EnvVar> {
    let variables = container.env.iter().flatten();
    variables
        .filter(|variable| variable.name.starts_with("SKIFF_"))
        .collect()
}

fn volume<'a>(spec: &'a PodSpec, name: &str) -> Option<&'a Volume> {
    spec.volumes
        .iter()
        .flatten()
        .find(|volume| volume.name == name)
}

/// Init containers and containers share one set of names.
fn check_names(spec: &PodSpec) -> Result<(), CompileError> {
    let mut seen = BTreeSet::new();
    let init = spec.init_containers.iter().flatten();
    for container in init.chain(&spec.containers) {
        if !seen.insert(&container.name) {
            let field = format!("the container `{}`", container.name);
            return refuse(field, "an init container is called so too");
        }
    }
    Ok(())
}

fn refuse(field: impl Into<String>, why: &'static str) -> Result<(), CompileError> {
    Err(CompileError::Reserved {
        field: field.into(),
        why,
    })
}
