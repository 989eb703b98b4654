//! Runtime classes: what the nodes run a pod with.

use k8s_openapi::api::node::v1::RuntimeClass;
use kube::Api;

use crate::patience::{READ, within};
use crate::{ApiError, Cluster};

impl Cluster {
    /// A runtime class, or None where there is none of this name.
    pub async fn runtime_class(&self, name: &str) -> Result<Option<RuntimeClass>, ApiError> {
        let classes: Api<RuntimeClass> = Api::all(self.client.clone());
        let class = within(READ, classes.get_opt(name)).await;
        class.map_err(|error| self.failed("get", format!("RuntimeClass {name}"), &error))
    }
}
