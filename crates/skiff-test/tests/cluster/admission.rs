//! Policies of the cluster: a privileged pod that is refused, a quota that is used up.

use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::PostParams;
use serde_json::json;
use skiff_test::namespace::with_namespace;
use skiff_test::webhook::{Policy, REFUSAL, Webhook};

#[tokio::test]
async fn a_privileged_pod_that_a_policy_refuses_is_explained() {
    with_namespace(async |namespace| {
        let webhook = Webhook::start(Policy::RefusePrivileged)
            .await
            .expect("a port is free");
        webhook
            .register(namespace)
            .await
            .expect("the administrator may");

        namespace.write(
            "task.yaml",
            "config: {kubernetes: {enable_docker: true}}\nrun: echo never\n",
        );
        let refused = namespace.launch("c", &["task.yaml"]).await;
        let plain = namespace.launch("plain", &["echo without docker"]).await;
        webhook.unregister(namespace).await;

        let refused = refused
            .code(1)
            .one_error()
            .never_says("never")
            .notes(&namespace.head_name("c"))
            .notes(REFUSAL);
        refused
            .notes("hint: Docker in the pod needs a privileged sidecar")
            .notes("enable_docker");
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

#[tokio::test]
async fn a_container_that_a_mesh_puts_into_the_pod_decides_nothing() {
    with_namespace(async |namespace| {
        let mesh = json!({
            "name": "mesh-proxy", "image": "skiff/base:0.1.0",
            "command": ["/bin/sh", "-c", "trap 'exit 3' TERM; sleep 100000 & wait"],
            "resources": { "requests": { "cpu": "10m" } },
        });
        let webhook = Webhook::start(Policy::Inject(mesh))
            .await
            .expect("a port is free");
        webhook
            .register(namespace)
            .await
            .expect("the administrator may");
        let launched = namespace.launch("c", &["echo among others"]).await;
        let failed = namespace.skiff().run(&["exec", "c", "exit 7"]).await;
        webhook.unregister(namespace).await;

        launched.code(0).says("among others");
        failed.code(100).says("return code list: [7]");
        let pod = namespace.head("c").await;
        let containers = pod.spec.expect("a pod has a specification").containers;
        assert_eq!(
            containers[0].name, "mesh-proxy",
            "it stands before the task's own"
        );
        let status = namespace
            .skiff()
            .run(&["status", "-o", "json"])
            .await
            .code(0)
            .json();
        assert_eq!(status[0]["status"], "UP", "{status}");
        namespace.skiff().run(&["down", "-y", "c"]).await.code(0);
        namespace.assert_nothing_left().await;
    })
    .await;
}
