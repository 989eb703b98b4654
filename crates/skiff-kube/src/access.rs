//! What the user may do, and what the API server says to an object without making it.

use std::collections::BTreeMap;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::Api;
use kube::api::{ListParams, PostParams};

use crate::patience::{READ, WRITE, within};
use crate::{ApiError, Cluster, Kind};

impl Cluster {
    /// Whether the user may do something in the namespace with a resource: `pods`, `pods/exec`.
    pub async fn may(&self, verb: &str, resource: &str) -> Result<bool, ApiError> {
        let (resource, subresource) = match resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
            None => (resource, None),
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    namespace: Some(self.namespace.clone()),
                    verb: Some(verb.to_owned()),
                    resource: Some(resource.to_owned()),
                    subresource,
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let params = PostParams::default();
        match within(READ, reviews.create(&params, &review)).await {
            Ok(review) => Ok(review.status.is_some_and(|status| status.allowed)),
            Err(error) => Err(self.failed("ask for", "your rights".to_owned(), &error)),
        }
    }

    /// Has the API server look at an object as if it were created: admission, quotas, limits.
    pub async fn try_create<K: Kind>(&self, object: &K) -> Result<K, ApiError> {
        let name = object.metadata().name.as_deref().unwrap_or_default();
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        within(WRITE, self.api().create(&params, object))
            .await
            .map_err(|error| {
                let object = format!("{} (dry run)", self.object::<K>(name));
                self.failed("create", object, &error)
            })
    }

    /// The labels of the namespace.
    pub async fn namespace_labels(&self) -> Result<BTreeMap<String, String>, ApiError> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        match within(READ, namespaces.get(&self.namespace)).await {
            Ok(namespace) => Ok(namespace.metadata.labels.unwrap_or_default()),
            Err(error) => {
                let object = format!("namespace {}", self.namespace);
                Err(self.failed("get", object, &error))
            }
        }
    }

    /// All runtime classes.
    pub async fn runtime_classes(&self) -> Result<Vec<RuntimeClass>, ApiError> {
        let classes: Api<RuntimeClass> = Api::all(self.client.clone());
        match within(READ, classes.list(&ListParams::default())).await {
            Ok(list) => Ok(list.items),
            Err(error) => Err(self.failed("list", "RuntimeClasses".to_owned(), &error)),
        }
    }

    /// All nodes, with everything that Kubernetes tells of them.
    pub async fn nodes(&self) -> Result<Vec<Node>, ApiError> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        match within(READ, nodes.list(&ListParams::default())).await {
            Ok(list) => Ok(list.items),
            Err(error) => Err(self.failed("list", "nodes".to_owned(), &error)),
        }
    }
}
