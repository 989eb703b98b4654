//! Rights: what the promised minimum role can do, and what is said to who has less.

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, Role, RoleBinding};
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::config::AuthInfo;
use serde_json::{Value, json};
use skiff_test::namespace::small;
use skiff_test::namespace::with_namespace;
use skiff_test::{Namespace, Program};

/// The rules of the role in the permissions document, word for word.
pub(crate) fn minimum() -> Value {
    json!([
        { "apiGroups": [""], "resources": ["pods", "pods/status", "pods/exec", "pods/portforward"], "verbs": ["*"] },
        { "apiGroups": [""], "resources": ["services"], "verbs": ["*"] },
        { "apiGroups": [""], "resources": ["secrets"], "verbs": ["*"] },
        { "apiGroups": [""], "resources": ["events"], "verbs": ["get", "list", "watch"] },
    ])
}

fn made<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the object is well-formed")
}

/// The program with the rights of a service account that has these rules in the namespace, and nothing else.
pub(crate) async fn with_rules(namespace: &Namespace, rules: Value) -> Program {
    let post = PostParams::default();
    let account = ServiceAccount {
        metadata: ObjectMeta {
            name: Some("user".to_owned()),
            ..Default::default()
        },
        ..Default::default()
    };
    namespace
        .api::<ServiceAccount>()
        .create(&post, &account)
        .await
        .expect("the administrator may");
    let role: Role = made(json!({ "metadata": { "name": "user" }, "rules": rules }));
    namespace
        .api::<Role>()
        .create(&post, &role)
        .await
        .expect("the administrator may");
    let binding: RoleBinding = made(json!({
        "metadata": { "name": "user" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "user" },
        "subjects": [{ "kind": "ServiceAccount", "name": "user", "namespace": namespace.name }],
    }));
    namespace
        .api::<RoleBinding>()
        .create(&post, &binding)
        .await
        .expect("the administrator may");
    let request: TokenRequest = made(json!({ "metadata": {}, "spec": { "audiences": [] } }));
    let accounts = namespace.api::<ServiceAccount>();
    let token = accounts
        .create_token_request("user", &post, &request)
        .await
        .expect("the administrator may");
    let token = token
        .status
        .and_then(|status| status.token)
        .expect("a token request is answered");

    let mut kubeconfig = namespace
        .kubernetes
        .kubeconfig_for(&namespace.name)
        .expect("the kubeconfig is complete");
    let context = kubeconfig.contexts[0]
        .context
        .as_mut()
        .expect("the context is complete");
    let user = context.user.clone().unwrap_or_default();
    kubeconfig.auth_infos.retain(|named| named.name == user);
    kubeconfig.auth_infos[0].auth_info = Some(AuthInfo {
        token: Some(token.into()),
        ..Default::default()
    });
    namespace.skiff_as("kubeconfig-user", &kubeconfig)
}

#[tokio::test]
async fn the_minimum_role_is_enough_for_every_command() {
    with_namespace(async |namespace| {
        let skiff = with_rules(namespace, minimum()).await;
        // The document's cluster role lets the user read nodes as well.
        let reader: k8s_openapi::api::rbac::v1::ClusterRole = made(json!({
            "metadata": { "name": namespace.name },
            "rules": [
                { "apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"] },
                { "apiGroups": ["node.k8s.io"], "resources": ["runtimeclasses"], "verbs": ["get", "list", "watch"] },
            ],
        }));
        let binding: ClusterRoleBinding = made(json!({
            "metadata": { "name": namespace.name },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": namespace.name },
            "subjects": [{ "kind": "ServiceAccount", "name": "user", "namespace": namespace.name }],
        }));
        let roles = Api::all(namespace.client.clone());
        let bindings = Api::<ClusterRoleBinding>::all(namespace.client.clone());
        roles.create(&PostParams::default(), &reader).await.expect("the administrator may");
        bindings.create(&PostParams::default(), &binding).await.expect("the administrator may");

        every_command(namespace, &skiff).await;
        let _ = bindings.delete(&namespace.name, &DeleteParams::default()).await;
        let _ = roles.delete(&namespace.name, &DeleteParams::default()).await;
    })
    .await;
}

#[tokio::test]
async fn without_the_right_to_read_nodes_every_command_works_as_well() {
    with_namespace(async |namespace| {
        let skiff = with_rules(namespace, minimum()).await;
        every_command(namespace, &skiff).await;
    })
    .await;
}

async fn every_command(namespace: &Namespace, skiff: &Program) {
    namespace.write("code/data", "from the workdir\n");
    let flags = ["--workdir", "code", "cat data"];
    skiff
        .run(&small("c", &flags))
        .await
        .code(0)
        .says("from the workdir");
    skiff
        .run(&["exec", "c", "echo executed"])
        .await
        .code(0)
        .says("executed");
    skiff
        .run(&["logs", "c", "1"])
        .await
        .code(0)
        .says("from the workdir");
    skiff.run(&["queue", "c"]).await.code(0).says("SUCCEEDED");
    skiff.run(&["status"]).await.code(0).says("UP");
    skiff
        .run(&["exec", "-d", "c", "sleep 100000"])
        .await
        .code(0);
    skiff
        .run(&["cancel", "-y", "c"])
        .await
        .code(0)
        .notes("CANCELLED");
    // Who may not create roles gets a cluster that ends by itself all the same.
    skiff
        .run(&[
            "launch",
            "-y",
            "-c",
            "c",
            "-i",
            "30",
            "--down",
            "echo again",
        ])
        .await
        .code(0)
        .says("again");
    skiff.run(&["status"]).await.code(0).says("30m (down)");
    let kept = namespace.inside("c", "cat /skiff/autostop.json").await;
    let kept: Value = serde_json::from_slice(&kept).expect("the agent writes JSON");
    assert_eq!(kept["owner"], Value::Null);
    skiff.run(&["down", "-y", "c"]).await.code(0);
    namespace.assert_nothing_left().await;
}

#[tokio::test]
async fn without_the_right_to_create_pods_a_launch_says_so_and_leaves_nothing() {
    with_namespace(async |namespace| {
        let mut rules = minimum();
        rules[0]["verbs"] = json!(["get", "list", "watch"]);
        let skiff = with_rules(namespace, rules).await;
        let refused = skiff
            .run(&small("c", &["echo never"]))
            .await
            .code(1)
            .one_error();
        let refused = refused.notes(&format!(
            "cannot create pod {}/{}",
            namespace.name,
            namespace.head_name("c")
        ));
        refused
            .notes("is forbidden")
            .notes("hint: ask the cluster's administrator for the rights");
        namespace.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn without_the_right_to_exec_the_message_names_it() {
    with_namespace(async |namespace| {
        namespace.launch("c", &["true"]).await.code(0);
        let mut rules = minimum();
        rules[0]["resources"] = json!(["pods"]);
        let skiff = with_rules(namespace, rules).await;
        let refused = skiff.run(&["exec", "c", "true"]).await.code(1).one_error();
        refused
            .notes("pods/exec")
            .notes("hint: ask the cluster's administrator for the rights");
        let refused = skiff.run(&["ssh", "c", "--", "true"]).await.code(255);
        refused
            .one_error()
            .notes("pods/exec")
            .notes("hint: ask the cluster's administrator for the rights");
        skiff.run(&["status"]).await.code(0).says("UP");
    })
    .await;
}
