//! What is known of the Kubernetes cluster before a task is compiled for it.

use skiff_compile::{ClaimFacts, ClaimGone, ClusterFacts, RuntimeClassFacts, VolumeFacts};
use skiff_kube::{ApiError, Cluster};
use skiff_schema::{DockerMode, KubernetesConfig};

use crate::volumes::{Phase, VolumeClaim, VolumeLookup, find_volume};

/// Reads the nodes and versions, and what the configuration names. What may not be read is unknown, not an error.
pub async fn facts(cluster: &Cluster, config: &KubernetesConfig) -> Result<ClusterFacts, ApiError> {
    let (facts, cache_volume, runtime_class) =
        tokio::try_join!(cluster.facts(), cache_volume(cluster, config), async {
            Ok(runtime_class(cluster, config).await)
        },)?;
    Ok(ClusterFacts {
        cache_volume,
        runtime_class,
        ..facts
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
