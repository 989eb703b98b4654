//! The privileged sidecar that runs the Docker daemon. The only privileged container of a pod.

use k8s_openapi::api::core::v1::{Container, SecurityContext};
use skiff_proto::paths;

use crate::container::{self, field_variable, mount, variable};
use crate::{Input, labels};

use super::resources::resources;
use super::{TMP_VOLUME, settings};

pub(super) fn container(input: &Input<'_>, arguments: &[&str]) -> Container {
    let config = &input.config.docker;
    let image = config.image.as_ref().unwrap_or(&input.config.images.docker);
    let mut container =
        container::agent_container(input, labels::DOCKER_CONTAINER, image, arguments);
    let mut variables = vec![
        variable("SKIFF_CLUSTER", &input.ids.cluster),
        field_variable("SKIFF_POD_IP", "status.podIP"),
        variable("DOCKER_HOST", &format!("unix://{}", paths::DOCKER_SOCKET)),
    ];
    variables.extend(settings::variables(input));
    container.env = Some(variables);
    container.resources = Some(resources(input));
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
    container
}
