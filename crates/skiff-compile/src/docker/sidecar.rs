//! The privileged sidecar that runs the Docker daemon. The only privileged container of a pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, SecurityContext};
use skiff_proto::paths;

use crate::container::{self, field_variable, mount, variable};
use crate::{Input, labels, quantity};

use super::{DATA_VOLUME, TMP_VOLUME};

pub(super) fn container(input: &Input<'_>, arguments: &[&str]) -> Container {
    let image = &input.config.images.docker;
    let mut container =
        container::agent_container(input, labels::DOCKER_CONTAINER, image, arguments);
    container.env = Some(vec![
        variable("SKIFF_CLUSTER", &input.ids.cluster),
        field_variable("SKIFF_POD_IP", "status.podIP"),
        variable("DOCKER_HOST", &format!("unix://{}", paths::DOCKER_SOCKET)),
    ]);
    // Written out: a namespace's LimitRange fills in its default where nothing is written, and a
    // task that just fits a node would no longer fit with Docker.
    container.resources = Some(container::requests(BTreeMap::from([(
        "cpu",
        quantity::cpu(0),
    )])));
    container.security_context = Some(SecurityContext {
        privileged: Some(true),
        run_as_group: Some(0),
        run_as_non_root: Some(false),
        run_as_user: Some(0),
        ..SecurityContext::default()
    });
    // The task's paths stand here under the same names, so that `docker run -v $PWD:/x` works.
    let mounts = container.volume_mounts.get_or_insert_default();
    mounts.push(mount(TMP_VOLUME, "/tmp"));
    mounts.push(mount(DATA_VOLUME, paths::DOCKER_DATA));
    container
}
