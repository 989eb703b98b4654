//! Policies of the cluster: a privileged pod that is refused, a quota that is used up.

use k8s_openapi::api::core::v1::{Namespace as KubernetesNamespace, ResourceQuota};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use skiff_test::namespace::with_namespace;
use skiff_test::webhook::{PrivilegeWebhook, REFUSAL, ValidatingWebhookConfiguration};

const LABEL: &str = "skiff-test/privileged";

#[tokio::test]
async fn a_privileged_pod_that_a_policy_refuses_is_explained() {
    with_namespace(async |namespace| {
        let webhook = PrivilegeWebhook::start().await.expect("a port is free");
        let label = json!({ "metadata": { "labels": { LABEL: namespace.name } } });
        let namespaces = Api::<KubernetesNamespace>::all(namespace.client.clone());
        let labelled = namespaces
            .patch(
                &namespace.name,
                &PatchParams::default(),
                &Patch::Merge(label),
            )
            .await;
        labelled.expect("the administrator may label namespaces");
        let configurations = Api::<ValidatingWebhookConfiguration>::all(namespace.client.clone());
        let configuration = webhook
            .configuration(&namespace.name, (LABEL, &namespace.name))
            .expect("it is well-formed");
        configurations
            .create(&PostParams::default(), &configuration)
            .await
            .expect("the administrator may");
        webhook.wait_until_asked(namespace).await;

        namespace.write(
            "task.yaml",
            "config: {kubernetes: {enable_docker: true}}\nrun: echo never\n",
        );
        let refused = namespace.launch("c", &["task.yaml"]).await;
        let plain = namespace.launch("plain", &["echo without docker"]).await;
        let _ = configurations
            .delete(&namespace.name, &DeleteParams::default())
            .await;

        let refused = refused
            .code(1)
            .one_error()
            .never_says("never")
            .notes(&namespace.head_name("c"))
            .notes(REFUSAL);
        refused
            .notes("hint: Docker in the pod needs a privileged sidecar")
            .notes("`enable_docker: BUILD`");
        plain.code(0).says("without docker");
        namespace
            .skiff()
            .run(&["down", "-y", "plain"])
            .await
            .code(0);
        namespace.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_told() {
    with_namespace(async |namespace| {
        let quota: ResourceQuota = serde_json::from_value(json!({
            "metadata": { "name": "none" },
            "spec": { "hard": { "pods": "0" } },
        }))
        .expect("it is well-formed");
        let quotas = namespace.api::<ResourceQuota>();
        quotas
            .create(&PostParams::default(), &quota)
            .await
            .expect("the administrator may create quotas");
        let in_force = |quota: Option<&ResourceQuota>| {
            quota
                .and_then(|quota| quota.status.as_ref()?.hard.as_ref())
                .is_some_and(|hard| !hard.is_empty())
        };
        let waiting = kube::runtime::wait::await_condition(quotas, "none", in_force);
        waiting.await.expect("quotas can be watched");
        let refused = namespace
            .launch("c", &["echo never"])
            .await
            .code(1)
            .one_error();
        refused.notes("exceeded quota").notes("hint: ask for less");
        namespace.assert_nothing_left().await;
    })
    .await;
}
