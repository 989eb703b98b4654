//! `skiff check docker`: what stands in the way, and a try that leaves nothing.

use std::time::Duration;

use k8s_openapi::api::core::v1::{
    LimitRange, Namespace as KubernetesNamespace, Pod, ResourceQuota,
};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use skiff_test::Namespace;
use skiff_test::bare::make;
use skiff_test::namespace::with_namespace;
use skiff_test::webhook::{PrivilegeWebhook, REFUSAL, ValidatingWebhookConfiguration};

use crate::rights::{minimum, with_rules};

const LABEL: &str = "skiff-test/check";

/// What a check found of a mode, by the name of the check.
fn found<'a>(report: &'a Value, check: &str, mode: &str) -> &'a Value {
    let findings = report["findings"].as_array().expect("a list of findings");
    let mut own = findings
        .iter()
        .filter(|finding| finding["check"] == check && finding["mode"] == mode);
    own.next()
        .unwrap_or_else(|| panic!("no {check} of {mode}: {report:#}"))
}

async fn check(namespace: &Namespace, rest: &[&str]) -> skiff_test::Finished {
    let command = [&["check", "docker"], rest].concat();
    namespace.skiff().run(&command).await
}

#[tokio::test]
async fn a_policy_against_privileged_pods_forbids_one_mode_and_not_the_other() {
    with_namespace(async |namespace| {
        let webhook = PrivilegeWebhook::start().await.expect("a port is free");
        let label = json!({ "metadata": { "labels": { LABEL: namespace.name } } });
        let namespaces = Api::<KubernetesNamespace>::all(namespace.client.clone());
        let (name, params) = (&namespace.name, PatchParams::default());
        let labelled = namespaces.patch(name, &params, &Patch::Merge(label)).await;
        labelled.expect("the administrator may label namespaces");
        let configurations = Api::<ValidatingWebhookConfiguration>::all(namespace.client.clone());
        let configuration = webhook
            .configuration(&namespace.name, (LABEL, &namespace.name))
            .expect("it is well-formed");
        let post = PostParams::default();
        let made = configurations.create(&post, &configuration).await;
        made.expect("the administrator may");
        webhook.wait_until_asked(namespace).await;

        let both = check(namespace, &["-o", "json"]).await;
        let all = check(namespace, &["ALL"]).await;
        let tried = check(namespace, &["ALL", "--run"]).await;
        let at_once = DeleteParams::default();
        let _ = configurations.delete(name, &at_once).await;

        let report = both.code(0).json();
        let pod = found(&report, "pod", "all");
        assert_eq!(pod["verdict"], "no");
        assert!(
            pod["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains(REFUSAL))
        );
        assert!(
            pod["fix"]
                .as_str()
                .is_some_and(|fix| fix.contains("privileged"))
        );
        assert_eq!(found(&report, "pod", "build")["verdict"], "ok");
        let all = all.code(1).says(REFUSAL).says("What to do:");
        all.says("enable_docker: ALL: cannot work here");
        tried.code(1).says("No mode can be tried");
        assert!(namespace.pods().await.is_empty(), "nothing was made");
    })
    .await;
}

#[tokio::test]
async fn quotas_limits_and_nodes_that_are_too_small_forbid_both() {
    with_namespace(async |namespace| {
        for (kind, words) in [
            ("Pod", "maximum memory usage per Pod"),
            // A maximum of containers is the limit of those that have none, which is less than they ask for.
            ("Container", "must be less than or equal to memory limit"),
        ] {
            let limits = json!({
                "metadata": { "name": "small" },
                "spec": { "limits": [{ "type": kind, "max": { "memory": "100M" } }] },
            });
            make::<LimitRange>(namespace, limits).await;
            let limited = check(namespace, &[]).await.code(1);
            limited.says(words).says("kubectl describe limitrange");
            let api = namespace.api::<LimitRange>();
            let deleted = api.delete("small", &DeleteParams::default()).await;
            deleted.expect("it is there");
        }

        let large = check(namespace, &["ALL", "--cpus", "5000"]).await.code(1);
        large.says("no node is large enough").says("--cpus");

        let quota = json!({ "metadata": { "name": "none" }, "spec": { "hard": { "pods": "0" } } });
        make::<ResourceQuota>(namespace, quota).await;
        let in_force = |quota: Option<&ResourceQuota>| {
            let status = quota.and_then(|quota| quota.status.as_ref());
            status.is_some_and(|status| status.hard.is_some())
        };
        let quotas = namespace.api::<ResourceQuota>();
        let waiting = kube::runtime::wait::await_condition(quotas, "none", in_force);
        waiting.await.expect("quotas can be watched");
        check(namespace, &[]).await.code(1).says("exceeded quota");
    })
    .await;
}

#[tokio::test]
async fn rights_that_are_missing_are_named_and_what_cannot_be_read_is_unknown() {
    with_namespace(async |namespace| {
        let skiff = with_rules(namespace, minimum()).await;
        let report = skiff
            .run(&["check", "docker", "-o", "json"])
            .await
            .code(0)
            .json();
        let findings = report["findings"].as_array().expect("a list of findings");
        let of = |check: &str| {
            let mut own = findings.iter().filter(|finding| finding["check"] == check);
            own.next().expect("it was checked")["verdict"].clone()
        };
        assert_eq!(of("rights"), "ok");
        for unknown in ["nodes", "sandboxes", "cache storage", "room"] {
            assert_eq!(of(unknown), "unknown", "{unknown}");
        }
    })
    .await;
    with_namespace(async |namespace| {
        let mut rules = minimum();
        rules[0]["verbs"] = json!(["get", "list", "watch"]);
        let skiff = with_rules(namespace, rules).await;
        let refused = skiff.run(&["check", "docker"]).await.code(1);
        let refused = refused.says("you may not create pods, delete pods, create pods/exec");
        refused.says("ask the cluster's administrator");
    })
    .await;
}

#[tokio::test]
async fn a_try_builds_runs_measures_and_leaves_nothing() {
    with_namespace(async |namespace| {
        let tried = check(namespace, &["ALL", "--run", "-o", "json"])
            .await
            .code(0)
            .json();
        let mode = &tried["modes"][0];
        assert_eq!(mode["mode"], "all");
        assert_eq!(mode["tried"]["works"], true, "{tried:#}");
        for time in ["ready_s", "build_s", "run_s"] {
            let seconds = mode["tried"]["times"][time].as_f64();
            assert!(
                seconds.is_some_and(|seconds| seconds > 0.0),
                "{time}: {tried:#}"
            );
        }
        namespace.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn a_try_that_fails_or_is_interrupted_leaves_nothing() {
    with_namespace(async |namespace| {
        let skiff = namespace.skiff().within(Duration::from_mins(3));
        let image = "kubernetes.images.docker=docker.io/skiff/base:0.1.0";
        let failed = skiff
            .run(&["check", "docker", "ALL", "--run", "--config", image])
            .await;
        failed.code(1).says("fails");
        namespace.assert_nothing_left().await;

        let running = skiff.start(&["check", "docker", "ALL", "--run"]);
        let begun = |pods: &[Pod]| {
            pods.iter()
                .any(|pod| pod.metadata.deletion_timestamp.is_none())
        };
        let mut pause = tokio::time::interval(Duration::from_millis(50));
        let appears = tokio::time::timeout(Duration::from_mins(1), async {
            while !begun(&namespace.pods().await) {
                pause.tick().await;
            }
        });
        appears.await.expect("a try makes a pod");
        running.interrupt();
        running.end().await.code(130);
        namespace.assert_nothing_left().await;
    })
    .await;
}
