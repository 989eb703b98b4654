//! Deletes volumes, unless pods use them.

use std::time::Duration;

use globset::Glob;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use skiff_kube::{ApiError, Cluster};
use tokio::time::{Instant, sleep};

use super::{VolumeError, VolumeStatus, claim, list_volumes};
use crate::User;

/// How long a claim that nobody uses is given to go.
const PATIENCE: Duration = Duration::from_secs(15);
/// The first pause before it is looked for again.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The volumes that names and globs mean.
#[derive(Debug, Default)]
pub struct VolumesToDelete {
    /// The volumes.
    pub volumes: Vec<VolumeStatus>,
    /// Names and globs without a match.
    pub unmatched: Vec<String>,
}

impl VolumesToDelete {
    /// Finds them. A name may be that of anybody's volume, a glob means the user's own.
    pub async fn find(
        cluster: &Cluster,
        user: &User,
        patterns: &[String],
    ) -> Result<Self, ApiError> {
        let all = list_volumes(cluster).await?;
        let mut found = Self::default();
        for pattern in patterns {
            let glob = Glob::new(pattern).map(|glob| glob.compile_matcher()).ok();
            let is_own = |volume: &VolumeStatus| volume.user_hash.as_ref() == Some(&user.hash);
            let is_meant = |volume: &&VolumeStatus| {
                let matches = glob
                    .as_ref()
                    .is_some_and(|glob| glob.is_match(&volume.name));
                volume.name == *pattern || (is_own(volume) && matches)
            };
            let meant: Vec<&VolumeStatus> = all.iter().filter(is_meant).collect();
            if meant.is_empty() {
                found.unmatched.push(pattern.clone());
            }
            for volume in meant {
                if found.volumes.iter().all(|known| known.name != volume.name) {
                    found.volumes.push(volume.clone());
                }
            }
        }
        Ok(found)
    }
}

/// Deletes a volume; with `purge` also one that pods use, which Kubernetes keeps until they have ended. A claim that was
/// there before stays. True once it is gone.
pub async fn delete_volume(
    cluster: &Cluster,
    volume: &VolumeStatus,
    purge: bool,
) -> Result<bool, VolumeError> {
    let name = &volume.name_on_cloud;
    if volume.is_existing {
        let released = claim::released();
        let patched = cluster
            .patch::<PersistentVolumeClaim>(name, &released)
            .await;
        return match patched {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(true),
        };
    }
    let pods = volume.pods.clone().unwrap_or_default();
    if !pods.is_empty() && !purge {
        return Err(VolumeError::InUse {
            name: volume.name.clone(),
            pods,
        });
    }
    cluster.delete::<PersistentVolumeClaim>(name, None).await?;
    if !pods.is_empty() {
        return Ok(false);
    }
    Ok(is_gone(cluster, name).await?)
}

/// Waits until a claim is gone: the next `apply` of its name must not meet it.
async fn is_gone(cluster: &Cluster, name: &str) -> Result<bool, ApiError> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = PAUSE;
    while cluster.exists::<PersistentVolumeClaim>(name).await? {
        if Instant::now() > deadline {
            return Ok(false);
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Ok(true)
}
