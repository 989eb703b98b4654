//! A node's home on a volume of its own: what a cluster that is stopped keeps.
//!
//! The image's own home is copied there once, and never again. The folders of the jobs' records and logs lie there too,
//! mounted where the agent looks for them, and so does the working folder.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, PodSpec, Volume,
    VolumeMount,
};
use skiff_proto::paths;
use skiff_schema::HomeVolume;

use crate::container::{self, mount};
use crate::{ClusterName, Input, claim, labels, quantity};

/// Name of the volume in the pods.
const VOLUME: &str = "home";
/// Where the volume stands while it is filled.
const FILLING: &str = "/skiff-home";
/// The folder on the volume that holds what is Skiff's own.
const OWN: &str = ".skiff";
/// The home of root, which is the user of most images.
const DEFAULT_PATH: &str = "/root";

/// Copies the image's home (`$1`) to the volume (`$0`), unless that has been done. Where nobody has written where
/// the home is (`$2` is empty), it must be where the image's user has it. A real `sky_workdir` is kept by the agent.
const FILL: &str = r#"if [ -z "$2" ] && [ "$(cd ~ 2>/dev/null && pwd)" != "$1" ]; then
  echo "the home of the image's user is $(cd ~ 2>/dev/null && pwd), not $1: write it as kubernetes.home_volume.mount_path" >&2
  exit 1
fi
[ -e "$0/.skiff/filled" ] && exit 0
mkdir -p "$0/.skiff/jobs" "$0/.skiff/sky_logs" "$0/sky_workdir" || exit 1
if [ -d "$1" ]; then cp -af "$1/." "$0/" || exit 1; fi
: > "$0/.skiff/filled""#;

/// The size of each home, as Kubernetes writes it.
pub(crate) fn size(input: &Input<'_>) -> Option<String> {
    let home = input.config.home_volume.as_ref()?;
    Some(quantity::memory(home.bytes).0)
}

/// What the claims of all nodes have in common.
pub(crate) fn claims(input: &Input<'_>, cluster: &ClusterName) -> Option<PersistentVolumeClaim> {
    let home = input.config.home_volume.as_ref()?;
    let mut claim = claim::of_nodes(input, cluster, home.bytes);
    let spec = claim.spec.get_or_insert_default();
    spec.storage_class_name.clone_from(&home.storage_class);
    Some(claim)
}

/// The claim of a rank.
pub(crate) fn of_rank(
    cluster: &ClusterName,
    claim: PersistentVolumeClaim,
    rank: u32,
) -> PersistentVolumeClaim {
    claim::of_rank(claim, cluster.home(rank), rank)
}

/// Puts the home into a pod that is being built, before the user's own changes.
pub(crate) fn add(input: &Input<'_>, spec: &mut PodSpec) {
    let Some(home) = &input.config.home_volume else {
        return;
    };
    let path = home.mount_path.as_deref().unwrap_or(DEFAULT_PATH);
    spec.volumes.get_or_insert_default().push(Volume {
        name: VOLUME.to_owned(),
        // Each rank has its own: the pod's name is not known yet.
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource::default()),
        ..Volume::default()
    });
    let below = |path: &str, folder: &str| VolumeMount {
        sub_path: Some(format!("{OWN}/{folder}")),
        ..mount(VOLUME, path)
    };
    let task = spec.containers.iter_mut();
    for task in task.filter(|container| container.name == labels::TASK_CONTAINER) {
        task.volume_mounts.get_or_insert_default().extend([
            mount(VOLUME, path),
            below(paths::JOBS, "jobs"),
            below(paths::LOGS, "sky_logs"),
        ]);
    }
    let filling = filling(input, home, path);
    spec.init_containers
        .get_or_insert_default()
        .insert(0, filling);
}

/// The init container that fills the volume; it gets the task's image once that is known.
fn filling(input: &Input<'_>, home: &HomeVolume, path: &str) -> Container {
    let written = home.mount_path.as_deref().unwrap_or_default();
    let command = ["/bin/sh", "-c", FILL, FILLING, path, written];
    let mut container = container::plain(input, labels::HOME_CONTAINER, "", command.iter());
    container.volume_mounts = Some(vec![mount(VOLUME, FILLING)]);
    let none = BTreeMap::from([("cpu", quantity::cpu(0))]);
    container.resources = Some(container::requests(none));
    container
}

/// Has the volume filled from the image and by the user of the task container, whatever the user's changes made of these.
pub(crate) fn follow_task(spec: &mut PodSpec) {
    let task = spec.containers.iter();
    let mut task = task.filter(|container| container.name == labels::TASK_CONTAINER);
    let Some(task) = task.next() else {
        return;
    };
    let init = spec.init_containers.iter_mut().flatten();
    for filling in init.filter(|container| container.name == labels::HOME_CONTAINER) {
        filling.image.clone_from(&task.image);
        filling
            .image_pull_policy
            .clone_from(&task.image_pull_policy);
        filling.security_context.clone_from(&task.security_context);
    }
}

/// Names the claim of a pod's own rank.
pub(crate) fn name_claim(cluster: &ClusterName, rank: u32, spec: &mut PodSpec) {
    let volumes = spec.volumes.iter_mut().flatten();
    for volume in volumes.filter(|volume| volume.name == VOLUME) {
        if let Some(claim) = &mut volume.persistent_volume_claim {
            claim.claim_name = cluster.home(rank);
        }
    }
}
