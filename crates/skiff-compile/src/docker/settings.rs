//! What a sidecar is told of the configuration: [`DockerSettings`] in a variable of its environment.

use k8s_openapi::api::core::v1::EnvVar;
use skiff_proto::{AddressPool, DOCKER_SETTINGS, DockerSettings, Storage};
use skiff_schema::{DockerAddresses, DockerMode, StorageKind};

use crate::container::{field_variable, variable};
use crate::{Input, labels};

/// The variables, where the configuration says anything that a sidecar does not find out.
pub(super) fn variables(input: &Input<'_>) -> Vec<EnvVar> {
    let settings = settings(input);
    let mut variables = Vec::new();
    if settings.cache_holder.is_some() {
        let rank = format!("metadata.labels['{}']", labels::RANK);
        variables.push(field_variable("SKIFF_RANK", &rank));
    }
    if settings != DockerSettings::default() {
        let json = serde_json::to_string(&settings).expect("settings are always valid JSON");
        variables.push(variable(DOCKER_SETTINGS, &json));
    }
    variables
}

fn settings(input: &Input<'_>) -> DockerSettings {
    let config = &input.config.docker;
    // Kubernetes fills in the rank: the pods of all are made to one specification.
    let holder = || format!("cluster {}, rank $(SKIFF_RANK)", input.ids.cluster);
    let mut settings = DockerSettings {
        storage: match config.storage.kind {
            StorageKind::Auto => Storage::Auto,
            StorageKind::Memory => Storage::Memory,
            StorageKind::Loop => Storage::Loop,
            StorageKind::Block => Storage::Block,
        },
        storage_bytes: config.storage.bytes,
        cache_holder: config.cache_volume.as_ref().map(|_| holder()),
        allow_slow_storage: config.allow_slow_storage,
        registry_mirrors: config.registry_mirrors.clone(),
        insecure_registries: config.insecure_registries.clone(),
        address_pools: config.address_pools.iter().map(address_pool).collect(),
        mtu: config.mtu,
        expose_tcp: config.expose_tcp,
    };
    if config.mode == DockerMode::Build {
        leave_out_of_builds(&mut settings);
    }
    settings
}

/// Takes away what a builder has no use for, which a lower layer of the configuration may say for daemons.
fn leave_out_of_builds(settings: &mut DockerSettings) {
    settings.address_pools.clear();
    settings.mtu = None;
    settings.expose_tcp = false;
    let is_registry = |registry: &String| !registry.contains('/');
    settings.insecure_registries.retain(is_registry);
}

fn address_pool(pool: &DockerAddresses) -> AddressPool {
    AddressPool {
        base: pool.base.clone(),
        size: pool.size,
    }
}
