//! Gives a cluster's agent the right to delete its cluster, and nothing else, where the user may give it.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use skiff_compile::{Nodes, Rights};
use skiff_kube::{ApiError, Cluster};
use skiff_proto::OwnerAccess;
use tokio::time::{Instant, sleep};

use crate::nodes::put_owned;

/// How long Kubernetes has to make a token.
const TOKEN: Duration = Duration::from_secs(5);
/// The first pause before it is looked for again.
const PAUSE: Duration = Duration::from_millis(20);
/// Keys of the Secret that Kubernetes fills.
const TOKEN_KEY: &str = "token";
const AUTHORITY_KEY: &str = "ca.crt";
/// Annotation of that Secret: for which account.
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

/// Gives the right, and what the agent needs to use it. None where the user may not give it: then the cluster's pods
/// end, and the user's next command removes the rest.
pub(crate) async fn give(
    cluster: &Cluster,
    nodes: &Nodes,
    owner_uid: &str,
) -> Result<Option<OwnerAccess>, ApiError> {
    match try_give(cluster, nodes, owner_uid).await {
        Err(error) if error.is_transient() => Err(error),
        result => Ok(result.ok().flatten()),
    }
}

async fn try_give(
    cluster: &Cluster,
    nodes: &Nodes,
    owner_uid: &str,
) -> Result<Option<OwnerAccess>, ApiError> {
    let rights = nodes.rights(owner_uid);
    let deadline = Instant::now() + TOKEN;
    let mut pause = PAUSE;
    put_owned(cluster, &rights.account).await?;
    tokio::try_join!(
        put_owned(cluster, &rights.role),
        put_owned(cluster, &rights.binding),
        put_owned(cluster, &rights.token),
    )?;
    let name = Rights::name_for(nodes.cluster().as_str());
    loop {
        let (account, token) = tokio::try_join!(
            cluster.get::<ServiceAccount>(&name),
            cluster.get::<Secret>(&name),
        )?;
        match token {
            Some(token) if is_of(&token, account.as_ref()) => {
                return Ok(Some(OwnerAccess {
                    namespace: cluster.namespace.clone(),
                    secret: nodes.cluster().to_string(),
                    uid: owner_uid.to_owned(),
                    token: text(&token, TOKEN_KEY),
                    authority: text(&token, AUTHORITY_KEY),
                }));
            }
            Some(_) => {}
            // It went with an account of an older cluster of this name.
            None => put_owned(cluster, &rights.token).await?,
        }
        if Instant::now() > deadline {
            return Ok(None);
        }
        sleep(pause).await;
        pause *= 2;
    }
}

/// Whether a Secret holds the token of the account that is there now.
fn is_of(token: &Secret, account: Option<&ServiceAccount>) -> bool {
    let annotations = token.metadata.annotations.as_ref();
    let of = annotations.and_then(|all| all.get(ACCOUNT_UID));
    let uid = account.and_then(|account| account.metadata.uid.as_ref());
    of.is_some() && of == uid && !text(token, TOKEN_KEY).is_empty()
}

fn text(secret: &Secret, key: &str) -> String {
    let bytes = secret.data.as_ref().and_then(|data| data.get(key));
    bytes.map_or_else(String::new, |bytes| {
        String::from_utf8_lossy(&bytes.0).into_owned()
    })
}

/// Takes the right away again. What the user may not delete goes with its owner.
pub(crate) async fn take(cluster: &Cluster, id: &str) {
    let name = Rights::name_for(id);
    let _ = tokio::join!(
        cluster.delete::<Secret>(&name, None),
        cluster.delete::<RoleBinding>(&name, None),
        cluster.delete::<Role>(&name, None),
        cluster.delete::<ServiceAccount>(&name, None),
    );
}
