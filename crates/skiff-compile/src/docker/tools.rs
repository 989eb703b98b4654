//! The init container that copies Docker's command-line tools out of the sidecar's image, so that
//! they work in a task image of any distribution.

use k8s_openapi::api::core::v1::Container;

use crate::container::{self, agent_container};
use crate::{Input, labels, quantity};

pub(super) fn container(input: &Input<'_>) -> Container {
    let image = &input.config.images.docker;
    let mut container = agent_container(input, labels::TOOLS_CONTAINER, image, &["tools"]);
    container.resources = Some(container::requests([("cpu", quantity::cpu(0))]));
    container
}
