//! What a sidecar is told of the configuration: [`DockerSettings`] in a variable of its environment.

use k8s_openapi::api::core::v1::EnvVar;
use skiff_proto::{AddressPool, DOCKER_SETTINGS, DockerSettings, Storage};
use skiff_schema::{DockerAddresses, StorageKind};

use crate::Input;
use crate::container::variable;

/// The variable, where the configuration says anything that a sidecar does not find out.
pub(super) fn settings_variable(input: &Input<'_>) -> Option<EnvVar> {
    let settings = settings(input);
    if settings == DockerSettings::default() {
        return None;
    }
    let json = serde_json::to_string(&settings).expect("settings are always valid JSON");
    Some(variable(DOCKER_SETTINGS, &json))
}

fn settings(input: &Input<'_>) -> DockerSettings {
    let config = &input.config.docker;
    DockerSettings {
        storage: match config.storage.kind {
            StorageKind::Auto => Storage::Auto,
            StorageKind::Memory => Storage::Memory,
            StorageKind::Loop => Storage::Loop,
            StorageKind::Block => Storage::Block,
        },
        storage_bytes: config.storage.bytes,
        cache_holder: None,
        allow_slow_storage: config.allow_slow_storage,
        registry_mirrors: config.registry_mirrors.clone(),
        insecure_registries: config.insecure_registries.clone(),
        address_pools: config.address_pools.iter().map(address_pool).collect(),
        mtu: config.mtu,
        expose_tcp: config.expose_tcp,
    }
}

fn address_pool(pool: &DockerAddresses) -> AddressPool {
    AddressPool {
        base: pool.base.clone(),
        size: pool.size,
    }
}
