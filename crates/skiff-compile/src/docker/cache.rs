//! A cache volume: whether it can hold Docker's data, from what is known of its claim.

use crate::facts::{ClaimFacts, VolumeFacts};
use crate::{DockerError, Input};

use super::fitness::unfit_for_docker;

/// Refuses a volume that cannot be; what is unknown is found out in the pod.
pub(super) fn check(input: &Input<'_>) -> Result<(), DockerError> {
    let Some(name) = &input.config.docker.cache_volume else {
        return Ok(());
    };
    let name = || name.clone();
    let claim = match &input.facts.cache_volume {
        VolumeFacts::Unknown => return Ok(()),
        VolumeFacts::Missing => return Err(DockerError::NoVolume { name: name() }),
        VolumeFacts::Found(claim) => claim,
    };
    if let Some(state) = claim.gone {
        return Err(DockerError::VolumeGone {
            name: name(),
            state: state.words(),
        });
    }
    if !claim.is_filesystem {
        return Err(DockerError::RawVolume { name: name() });
    }
    check_access(claim, input.task.num_nodes, name)?;
    let Some(provisioner) = &claim.provisioner else {
        return Ok(());
    };
    match unfit_for_docker(provisioner) {
        Some(why) => Err(DockerError::UnfitStorage {
            name: name(),
            provisioner: provisioner.clone(),
            why,
        }),
        None => Ok(()),
    }
}

/// Whether all nodes of the task may write to the volume at once.
fn check_access(
    claim: &ClaimFacts,
    nodes: u32,
    name: impl Fn() -> String,
) -> Result<(), DockerError> {
    let has = |mode: &str| claim.access_modes.iter().any(|it| it == mode);
    if claim.access_modes.is_empty() || has("ReadWriteMany") {
        return Ok(());
    }
    let (mode, users) = if has("ReadWriteOnce") {
        ("ReadWriteOnce", "one node uses it")
    } else if has("ReadWriteOncePod") {
        ("ReadWriteOncePod", "one pod uses it")
    } else {
        return Err(DockerError::ReadOnlyVolume { name: name() });
    };
    if nodes == 1 {
        return Ok(());
    }
    Err(DockerError::NotShared {
        name: name(),
        mode: mode.to_owned(),
        users,
        nodes,
    })
}
