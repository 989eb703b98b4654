//! Storage of the whole cluster: its classes, and the volumes that claims are bound to.

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::ListParams;

use crate::patience::{READ, within};
use crate::{ApiError, Cluster};

impl Cluster {
    /// A storage class, or None where there is none of this name.
    pub async fn storage_class(&self, name: &str) -> Result<Option<StorageClass>, ApiError> {
        let classes: Api<StorageClass> = Api::all(self.client.clone());
        let class = within(READ, classes.get_opt(name)).await;
        class.map_err(|error| self.failed("get", format!("StorageClass {name}"), &error))
    }

    /// All storage classes.
    pub async fn storage_classes(&self) -> Result<Vec<StorageClass>, ApiError> {
        let classes: Api<StorageClass> = Api::all(self.client.clone());
        match within(READ, classes.list(&ListParams::default())).await {
            Ok(list) => Ok(list.items),
            Err(error) => Err(self.failed("list", "StorageClasses".to_owned(), &error)),
        }
    }

    /// A volume that claims are bound to, or None where there is none of this name.
    pub async fn persistent_volume(
        &self,
        name: &str,
    ) -> Result<Option<PersistentVolume>, ApiError> {
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        let volume = within(READ, volumes.get_opt(name)).await;
        volume.map_err(|error| self.failed("get", format!("PersistentVolume {name}"), &error))
    }
}
