//! What every container of a pod has in common: it assembles the agent and becomes it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, EnvVar, EnvVarSource, ObjectFieldSelector, ResourceFieldSelector,
    ResourceRequirements, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use skiff_proto::paths;
use skiff_schema::ImagePullPolicy;

use crate::{Input, quantity};

/// Name of the volume that every container shares.
pub(crate) const SHARED_VOLUME: &str = "skiff";
/// Name of the volume that holds the agent's parts.
pub(crate) const PARTS_VOLUME: &str = "parts";

/// Name of the volume that holds the cluster's key.
pub(crate) const KEYS_VOLUME: &str = "keys";

/// Puts the parts together under the name that follows the text. A rename, because a restart would
/// meet "text file busy"; a folder open to all, because the sidecar runs as root and the task
/// perhaps as somebody else.
const ASSEMBLE: &str = "mkdir -p -m 1777 /skiff/bin && \
    cat /skiff/parts/* > /skiff/bin/$0.tmp && chmod 755 /skiff/bin/$0.tmp && \
    mv -f /skiff/bin/$0.tmp /skiff/bin/$0";

/// A container that runs the agent with these arguments.
pub(crate) fn agent_container(
    input: &Input<'_>,
    name: &str,
    image: &str,
    arguments: &[&str],
) -> Container {
    let become_it = format!("{ASSEMBLE} && exec /skiff/bin/$0 \"$@\"");
    let command = ["/bin/sh", "-c", &become_it, name];
    container(input, name, image, command.iter().chain(arguments))
}

/// A container without a shell that runs the agent which another one has put in place.
pub(crate) fn ready_container(
    input: &Input<'_>,
    name: &str,
    image: &str,
    arguments: &[&str],
) -> Container {
    let agent = format!("{}/{name}", paths::BIN);
    container(input, name, image, [agent.as_str()].iter().chain(arguments))
}

/// An init container that puts the agent in place for the container of this name, and ends.
pub(crate) fn assembling_container(
    input: &Input<'_>,
    name: &str,
    image: &str,
    for_container: &str,
) -> Container {
    let command = ["/bin/sh", "-c", ASSEMBLE, for_container];
    let mut container = container(input, name, image, command.iter());
    // Written out: a namespace's LimitRange fills in its default where nothing is written.
    container.resources = Some(requests(BTreeMap::from([("cpu", quantity::cpu(0))])));
    container
}

/// A container with the agent's parts and the folder that all share.
fn container<'a>(
    input: &Input<'_>,
    name: &str,
    image: &str,
    command: impl Iterator<Item = &'a &'a str>,
) -> Container {
    let mut container = plain(input, name, image, command);
    container.volume_mounts = Some(vec![
        mount(SHARED_VOLUME, paths::ROOT),
        VolumeMount {
            read_only: Some(true),
            ..mount(PARTS_VOLUME, paths::PARTS)
        },
    ]);
    container
}

/// A container that has nothing but its image.
pub(crate) fn plain<'a>(
    input: &Input<'_>,
    name: &str,
    image: &str,
    command: impl Iterator<Item = &'a &'a str>,
) -> Container {
    let policy = input
        .config
        .image_pull_policy
        .unwrap_or(ImagePullPolicy::IfNotPresent);
    Container {
        name: name.to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: Some(policy.as_str().to_owned()),
        command: Some(command.map(|word| (*word).to_owned()).collect()),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

pub(crate) fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        ..VolumeMount::default()
    }
}

pub(crate) fn requests(amounts: BTreeMap<&str, Quantity>) -> ResourceRequirements {
    ResourceRequirements {
        requests: Some(named(amounts)),
        ..ResourceRequirements::default()
    }
}

/// Amounts by the names that Kubernetes has for them.
pub(crate) fn named(amounts: BTreeMap<&str, Quantity>) -> BTreeMap<String, Quantity> {
    let amounts = amounts.into_iter();
    amounts
        .map(|(name, amount)| (name.to_owned(), amount))
        .collect()
}

pub(crate) fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        value_from: None,
    }
}

/// A variable with a field of the pod.
pub(crate) fn field_variable(name: &str, path: &str) -> EnvVar {
    let field_ref = ObjectFieldSelector {
        field_path: path.to_owned(),
        ..ObjectFieldSelector::default()
    };
    let source = EnvVarSource {
        field_ref: Some(field_ref),
        ..EnvVarSource::default()
    };
    EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(source),
    }
}

/// A variable with an amount of the container's own; without a limit it is the node's.
pub(crate) fn resource_variable(name: &str, resource: &str) -> EnvVar {
    let resource_ref = ResourceFieldSelector {
        resource: resource.to_owned(),
        ..ResourceFieldSelector::default()
    };
    let source = EnvVarSource {
        resource_field_ref: Some(resource_ref),
        ..EnvVarSource::default()
    };
    EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(source),
    }
}
