//! What time it is: by the API server's clock, for a user's may be days off.

use k8s_openapi::jiff::Timestamp;
use skiff_kube::Cluster;

/// The time at the API server; at this machine where the server does not tell.
pub async fn now(cluster: &Cluster) -> Timestamp {
    cluster.time().await.unwrap_or_else(|_| Timestamp::now())
}
