//! The logins that the pod's images are pulled with, for Docker within the pod.

use k8s_openapi::api::core::v1::{KeyToPath, PodSpec, SecretProjection, VolumeMount};
use skiff_proto::paths;
use skiff_schema::DockerMode;

use crate::container::mount;
use crate::pod::projected;
use crate::{Input, labels};

/// Name of the volume with the logins.
const VOLUME: &str = "registries";
/// Where a Secret of a registry has its login.
const KEY: &str = ".dockerconfigjson";

/// Mounts the pull Secrets of the pod in the task container, where Docker is wanted. One that is not there, or is of
/// another kind, is no fault: kubelets do not mind either.
pub(crate) fn lend(input: &Input<'_>, spec: &mut PodSpec) {
    let secrets = spec.image_pull_secrets.clone().unwrap_or_default();
    if input.config.docker.mode == DockerMode::Off || secrets.is_empty() {
        return;
    }
    let sources = secrets.into_iter().enumerate().map(|(at, secret)| {
        let item = KeyToPath {
            key: KEY.to_owned(),
            path: format!("{at}.json"),
            ..KeyToPath::default()
        };
        SecretProjection {
            name: secret.name,
            items: Some(vec![item]),
            optional: Some(true),
        }
    });
    let volume = projected(VOLUME, sources);
    spec.volumes.get_or_insert_default().push(volume);
    let mut containers = spec.containers.iter_mut();
    if let Some(task) = containers.find(|container| container.name == labels::TASK_CONTAINER) {
        task.volume_mounts
            .get_or_insert_default()
            .push(VolumeMount {
                read_only: Some(true),
                ..mount(VOLUME, paths::REGISTRIES)
            });
    }
}
