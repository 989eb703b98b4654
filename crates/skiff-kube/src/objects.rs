//! The requests that Skiff makes: Secrets, Services, pods, events of one namespace.

use std::fmt::Debug;

use k8s_openapi::api::core::v1::{
    Event, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use k8s_openapi::{Metadata, NamespaceResourceScope};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::patience::{READ, WRITE, asked, within};
use crate::{ApiError, Cluster};

/// What Skiff asks of a kind of object.
pub trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Metadata<Ty = ObjectMeta>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
{
    /// The kind in a sentence.
    const WORD: &'static str;
}

macro_rules! kinds {
    ($($kind:ty: $word:literal;)*) => {
        $(impl Kind for $kind {
            const WORD: &'static str = $word;
        })*
    };
}

kinds! {
    Pod: "pod";
    Secret: "Secret";
    Service: "Service";
    PersistentVolumeClaim: "PersistentVolumeClaim";
    ServiceAccount: "ServiceAccount";
    Role: "Role";
    RoleBinding: "RoleBinding";
    Event: "events";
}

impl Cluster {
    pub(crate) fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) fn failed(
        &self,
        action: &'static str,
        object: String,
        error: &kube::Error,
    ) -> ApiError {
        ApiError::new(action, object, &self.server, error)
    }

    pub(crate) fn object<K: Kind>(&self, name: &str) -> String {
        format!("{} {}/{name}", K::WORD, self.namespace)
    }

    /// The object, or None where there is none.
    pub async fn get<K: Kind>(&self, name: &str) -> Result<Option<K>, ApiError> {
        let api = self.api();
        asked(|| api.get_opt(name))
            .await
            .map_err(|error| self.failed("get", self.object::<K>(name), &error))
    }

    /// Whether there is such an object, without reading what it holds.
    pub async fn exists<K: Kind>(&self, name: &str) -> Result<bool, ApiError> {
        let api = self.api::<K>();
        match asked(|| api.get_metadata_opt(name)).await {
            Ok(metadata) => Ok(metadata.is_some()),
            Err(error) => Err(self.failed("get", self.object::<K>(name), &error)),
        }
    }

    /// Every object that a label selector matches.
    pub async fn list<K: Kind>(&self, labels: &str) -> Result<Vec<K>, ApiError> {
        let params = ListParams::default().labels(labels);
        let api = self.api();
        match asked(|| api.list(&params)).await {
            Ok(list) => Ok(list.items),
            Err(error) => Err(self.failed(
                "list",
                format!("{}s in {}", K::WORD, self.namespace),
                &error,
            )),
        }
    }

    /// Every object that a label selector and a field selector match.
    pub async fn list_where<K: Kind>(
        &self,
        labels: &str,
        fields: &str,
    ) -> Result<Vec<K>, ApiError> {
        let params = ListParams::default().labels(labels).fields(fields);
        let api = self.api();
        match asked(|| api.list(&params)).await {
            Ok(list) => Ok(list.items),
            Err(error) => Err(self.failed(
                "list",
                format!("{}s in {}", K::WORD, self.namespace),
                &error,
            )),
        }
    }

    /// What a label selector matches, by name and labels only.
    pub async fn list_metadata<K: Kind>(&self, labels: &str) -> Result<Vec<ObjectMeta>, ApiError> {
        let params = ListParams::default().labels(labels);
        let api = self.api::<K>();
        match asked(|| api.list_metadata(&params)).await {
            Ok(list) => Ok(list
                .items
                .into_iter()
                .map(|object| object.metadata)
                .collect()),
            Err(error) => Err(self.failed(
                "list",
                format!("{}s in {}", K::WORD, self.namespace),
                &error,
            )),
        }
    }

    /// Creates an object. One that is there already is a conflict.
    pub async fn create<K: Kind>(&self, object: &K) -> Result<K, ApiError> {
        let name = object.metadata().name.as_deref().unwrap_or_default();
        let params = PostParams::default();
        within(WRITE, self.api().create(&params, object))
            .await
            .map_err(|error| self.failed("create", self.object::<K>(name), &error))
    }

    /// What time it is at the API server, whatever it is here: that of a Secret which it is asked to make up.
    pub async fn time(&self) -> Result<Timestamp, ApiError> {
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let made_up = Secret {
            metadata: ObjectMeta {
                generate_name: Some("skiff-clock-".to_owned()),
                ..ObjectMeta::default()
            },
            ..Secret::default()
        };
        let made = within(WRITE, self.api().create(&params, &made_up)).await;
        let made = made.map_err(|error| {
            let object = format!("Secrets in {} (dry run)", self.namespace);
            self.failed("create", object, &error)
        })?;
        let created = made.metadata.creation_timestamp;
        Ok(created.map_or(Timestamp::UNIX_EPOCH, |created| created.0))
    }

    /// Lays a JSON merge patch over an object.
    pub async fn patch<K: Kind>(
        &self,
        name: &str,
        patch: &serde_json::Value,
    ) -> Result<K, ApiError> {
        let params = PatchParams::default();
        within(WRITE, self.api().patch(name, &params, &Patch::Merge(patch)))
            .await
            .map_err(|error| self.failed("change", self.object::<K>(name), &error))
    }

    /// Deletes an object; with a uid, only that very one. True where it was there.
    pub async fn delete<K: Kind>(&self, name: &str, uid: Option<&str>) -> Result<bool, ApiError> {
        let only = uid.map(|uid| Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        });
        self.delete_only::<K>(name, only).await
    }

    /// Deletes an object unless it has changed since it was read. True where it was there, unchanged.
    pub async fn delete_unchanged<K: Kind>(&self, object: &K) -> Result<bool, ApiError> {
        let metadata = object.metadata();
        let only = Preconditions {
            uid: metadata.uid.clone(),
            resource_version: metadata.resource_version.clone(),
        };
        let name = metadata.name.as_deref().unwrap_or_default();
        self.delete_only::<K>(name, Some(only)).await
    }

    async fn delete_only<K: Kind>(
        &self,
        name: &str,
        only: Option<Preconditions>,
    ) -> Result<bool, ApiError> {
        let is_bound = only.is_some();
        let params = DeleteParams {
            preconditions: only,
            ..DeleteParams::default()
        };
        match within(WRITE, self.api::<K>().delete(name, &params)).await {
            Ok(_) => Ok(true),
            Err(error) => {
                let error = self.failed("delete", self.object::<K>(name), &error);
                // Another object of this name is there now: the one that was meant is gone.
                if error.is_not_found() || (is_bound && error.is_conflict()) {
                    Ok(false)
                } else {
                    Err(error)
                }
            }
        }
    }

    /// The newest message of an event about a pod with one of these reasons, where events may be read.
    pub async fn pod_event(&self, pod: &str, reasons: &[&str]) -> Option<String> {
        let fields = format!("involvedObject.name={pod},involvedObject.kind=Pod");
        let params = ListParams::default().fields(&fields);
        let events = within(READ, self.api::<Event>().list(&params)).await.ok()?;
        events
            .items
            .into_iter()
            .filter(|event| {
                event
                    .reason
                    .as_deref()
                    .is_some_and(|reason| reasons.contains(&reason))
            })
            .max_by_key(|event| {
                event
                    .last_timestamp
                    .clone()
                    .or_else(|| event.first_timestamp.clone())
            })
            .and_then(|event| event.message)
    }
}
