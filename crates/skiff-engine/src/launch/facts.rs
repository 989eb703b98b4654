//! What is known of the Kubernetes cluster before a task is compiled for it.

use skiff_compile::{
    ClaimFacts, ClaimGone, ClusterFacts, DiskClassFacts, RuntimeClassFacts, VolumeFacts,
};
use skiff_kube::{ApiError, Cluster};
use skiff_schema::{DockerMode, KubernetesConfig, StorageKind};

use crate::volumes::{Phase, VolumeClaim, VolumeLookup, find_volume, is_default};

/// Reads the nodes and versions, and what the configuration names. What may not be read is unknown, not an error.
pub async fn facts(cluster: &Cluster, config: &KubernetesConfig) -> Result<ClusterFacts, ApiError> {
    let (facts, cache_volume, runtime_class, disk_class) = tokio::join!(
        cluster.facts(),
        cache_volume(cluster, config),
        runtime_class(cluster, config),
        disk_class(cluster, config),
    );
    Ok(ClusterFacts {
        cache_volume: cache_volume?,
        runtime_class,
        disk_class,
        ..facts?
    })
}

async fn cache_volume(
    cluster: &Cluster,
    config: &KubernetesConfig,
) -> Result<VolumeFacts, ApiError> {
    let docker = &config.docker;
    let Some(name) = &docker.cache_volume else {
        return Ok(VolumeFacts::Unknown);
    };
    if docker.mode == DockerMode::Off {
        return Ok(VolumeFacts::Unknown);
    }
    Ok(match find_volume(cluster, name).await? {
        VolumeLookup::Found(claim) => VolumeFacts::Found(claim_facts(claim)),
        VolumeLookup::Missing => VolumeFacts::Missing,
        VolumeLookup::Unknown => VolumeFacts::Unknown,
    })
}

fn claim_facts(claim: VolumeClaim) -> ClaimFacts {
    ClaimFacts {
        claim: claim.claim,
        access_modes: claim.access_modes,
        is_filesystem: claim.is_filesystem,
        gone: match claim.phase {
            Phase::Deleting => Some(ClaimGone::Deleting),
            Phase::Lost => Some(ClaimGone::Lost),
            Phase::Pending | Phase::Bound => None,
        },
        provisioner: claim.provisioner,
    }
}

/// Runtime classes belong to no namespace, and few may read them.
async fn runtime_class(cluster: &Cluster, config: &KubernetesConfig) -> RuntimeClassFacts {
    let Some(name) = config.pod_config.runtime_class() else {
        return RuntimeClassFacts::Unknown;
    };
    match cluster.runtime_class(name).await {
        Ok(Some(class)) => RuntimeClassFacts::Found {
            handler: class.handler,
        },
        Ok(None) => RuntimeClassFacts::Missing,
        Err(_) => RuntimeClassFacts::Unknown,
    }
}

/// The default class, where disks are wanted of it: of several, Kubernetes takes the newest.
async fn disk_class(cluster: &Cluster, config: &KubernetesConfig) -> DiskClassFacts {
    let docker = &config.docker;
    if docker.mode == DockerMode::Off || docker.storage.kind != StorageKind::Block {
        return DiskClassFacts::Unknown;
    }
    let Ok(classes) = cluster.storage_classes().await else {
        return DiskClassFacts::Unknown;
    };
    let defaults = classes.into_iter().filter(is_default);
    let newest = defaults.max_by_key(|class| class.metadata.creation_timestamp.clone());
    newest.map_or(DiskClassFacts::Missing, |class| DiskClassFacts::Found {
        name: class.metadata.name.unwrap_or_default(),
        provisioner: class.provisioner,
    })
}
