//! What of a task file and the configuration meets the cluster, and what must not.

use k8s_openapi::api::core::v1::{Event, Secret};
use kube::ResourceExt;
use kube::api::ListParams;
use skiff_test::namespace::{Namespace, small, with_namespace};

/// What no plain object, no log and no output may hold.
const VALUE: &str = "kept-to-itself-42";

#[tokio::test]
async fn labels_metadata_and_pod_config_reach_the_pod() {
    with_namespace(async |namespace| {
        namespace.write(
            "task.yaml",
            "\
resources: {labels: {team: vision}}
config:
  kubernetes:
    custom_metadata: {labels: {cost: a7}, annotations: {example.com/note: from the task}}
    pod_config:
      spec:
        terminationGracePeriodSeconds: 17
        containers:
          - name: ray-node
            env: [{name: FROM_POD_CONFIG, value: is there}]
run: echo $FROM_POD_CONFIG
",
        );
        let launched = namespace.launch("c", &["task.yaml"]).await.code(0);
        launched.says(") is there");
        let pod = namespace.head("c").await;
        assert_eq!(pod.labels().get("team").map(String::as_str), Some("vision"));
        assert_eq!(pod.labels().get("cost").map(String::as_str), Some("a7"));
        let note = pod.annotations().get("example.com/note");
        assert_eq!(note.map(String::as_str), Some("from the task"));
        let spec = pod.spec.expect("a pod has a spec");
        assert_eq!(spec.termination_grace_period_seconds, Some(17));
        let changed = "`pod_config` has changed";
        let again = namespace.launch("c", &["task.yaml"]).await.code(0);
        again.never_says(changed);
        let without = namespace.launch("c", &["--", "true"]).await.code(0);
        without.notes(changed);
    })
    .await;
}

#[tokio::test]
async fn flags_of_the_configuration_win_over_the_task() {
    with_namespace(async |namespace| {
        namespace.write(
            "task.yaml",
            "config: {kubernetes: {custom_metadata: {labels: {cost: task}}}}\nrun: echo $FROM_FILE\n",
        );
        namespace.write(
            "once.yaml",
            "\
kubernetes:
  pod_config:
    spec:
      containers: [{name: ray-node, env: [{name: FROM_FILE, value: from a file}]}]
",
        );
        let flags = [
            "task.yaml",
            "--config",
            "once.yaml",
            "--config",
            "kubernetes.custom_metadata.labels.cost=flag",
        ];
        let launched = namespace.launch("c", &flags).await.code(0);
        launched.says(") from a file");
        let pod = namespace.head("c").await;
        assert_eq!(pod.labels().get("cost").map(String::as_str), Some("flag"));
    })
    .await;
}

#[tokio::test]
async fn secrets_reach_the_job_and_show_nowhere_else() {
    with_namespace(async |namespace| {
        namespace.write(
            "task.yaml",
            &format!("secrets: {{ONE: {VALUE}, TWO: null}}\nsetup: echo setup ${{#ONE}}\nrun: echo run ${{#ONE}} ${{#TWO}} ${{#THREE}} ${{#FOUR}}\n"),
        );
        namespace.write("secret.env", &format!("THREE='{VALUE}'\n"));
        let three = format!("FOUR={VALUE}");
        let flags = ["task.yaml", "--secret", "TWO", "--secret-file", "secret.env", "--secret", &three];
        let skiff = namespace.skiff().with("TWO", VALUE).with("SKIFF_LOG", "trace");
        // The harness shows the command line, which is the user's own.
        let mut shown = skiff.run(&small("c", &flags)).await.code(0);
        shown = shown.says(") setup 17").says(") run 17 17 17 17").never_says(VALUE);
        assert!(!shown.stderr.contains(VALUE), "the diagnostics show a secret");

        let again = namespace.skiff().with("TWO", VALUE);
        again.run(&["exec", "c", "task.yaml", "--secret", "TWO"]).await.code(0).says(") run 17 17 0 0");
        for command in [
            &["queue", "c", "-o", "json"][..],
            &["status", "-v"],
            &["status", "-o", "json"],
            &["logs", "c", "1"],
            &["render", "task.yaml", "--secret", "TWO=x"],
        ] {
            let finished = namespace.skiff().run(command).await;
            assert!(!finished.stdout.contains(VALUE), "{command:?} shows a secret");
            assert!(!finished.stderr.contains(VALUE), "{command:?} shows a secret");
        }
        let files = format!("grep -rls '{}''{}' /skiff ~/sky_logs || true", &VALUE[..4], &VALUE[4..]);
        assert_eq!(namespace.inside("c", &files).await, b"");
        assert_no_plain_object_holds_it(namespace).await;
    })
    .await;
}

/// Looks through pods, events and every Secret but for the data of those that are for it.
async fn assert_no_plain_object_holds_it(namespace: &Namespace) {
    let text = |value: &dyn std::fmt::Debug| format!("{value:?}");
    let events = namespace.api::<Event>().list(&ListParams::default()).await;
    let events = events.expect("events can be listed").items;
    for (name, shown) in namespace
        .pods()
        .await
        .iter()
        .map(|pod| (pod.name_any(), text(pod)))
        .chain(events.iter().map(|event| (event.name_any(), text(event))))
    {
        assert!(!shown.contains(VALUE), "{name} holds a secret");
    }
    let secrets = namespace.api::<Secret>().list(&ListParams::default()).await;
    let mut kept = 0;
    for secret in secrets.expect("Secrets can be listed").items {
        let name = secret.name_any();
        assert!(
            !text(&secret.metadata).contains(VALUE),
            "{name} shows a secret"
        );
        for (key, bytes) in secret.data.unwrap_or_default() {
            let holds = String::from_utf8_lossy(&bytes.0).contains(VALUE);
            assert!(
                !holds || key != "record.json",
                "the record of {name} holds a secret"
            );
            kept += usize::from(holds);
        }
    }
    assert!(kept <= 1, "{kept} keys of Secrets hold it");
}

#[tokio::test]
async fn a_registrys_login_becomes_a_pull_secret_that_goes_with_the_cluster() {
    with_namespace(async |namespace| {
        namespace.write(
            "task.yaml",
            &format!(
                "secrets: {{SKYPILOT_DOCKER_USERNAME: me, SKYPILOT_DOCKER_PASSWORD: {VALUE}, SKYPILOT_DOCKER_SERVER: registry.example.com}}\nrun: echo\n"
            ),
        );
        namespace.launch("c", &["task.yaml"]).await.code(0);
        let spec = namespace.head("c").await.spec.expect("a pod has a spec");
        let pulls = spec.image_pull_secrets.unwrap_or_default();
        let [pull] = pulls.as_slice() else {
            panic!("one pull Secret is expected: {pulls:?}");
        };
        let secret = namespace.api::<Secret>().get(&pull.name).await;
        let secret = secret.expect("the pod's pull Secret is there");
        assert_eq!(secret.type_.as_deref(), Some("kubernetes.io/dockerconfigjson"));
        let owners = secret.metadata.owner_references.unwrap_or_default();
        let cluster = namespace.owners().await;
        let owner = cluster.first().expect("the cluster has its owner").name_any();
        assert!(owners.iter().any(|reference| reference.name == owner), "{owners:?}");
    })
    .await;
}

#[tokio::test]
async fn what_kubernetes_has_no_use_for_is_told_and_the_task_runs() {
    with_namespace(async |namespace| {
        namespace.write(
            "task.yaml",
            "resources: {ports: 8080}\ninputs: {s3://bucket: 10}\nrun: echo it runs\n",
        );
        let launched = namespace.launch("c", &["task.yaml"]).await.code(0);
        launched
            .says(") it runs")
            .notes("note: ignored on Kubernetes: inputs (")
            .notes("note: ports are not opened yet (8080)");
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_launched_creates_nothing() {
    with_namespace(async |namespace| {
        for (task, told) in [
            (
                "file_mounts: {/data: s3://bucket}\nrun: echo\n",
                "`file_mounts`",
            ),
            ("volumes: {/mnt: scratch}\nrun: echo\n", "`volumes`"),
            ("resources: {accelerators: A100}\nrun: echo\n", "A100:1"),
            (
                "service: {readiness_probe: /}\nresources: {ports: 80}\nrun: echo\n",
                "`service`",
            ),
            (
                "name: two\n---\nrun: echo\n---\nrun: echo\n",
                "holds 2 tasks",
            ),
        ] {
            namespace.write("task.yaml", task);
            let refused = namespace.launch("c", &["task.yaml"]).await.code(1);
            refused.one_error().notes(told);
        }
        namespace.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn the_second_candidate_is_taken_where_the_first_is_too_large() {
    with_namespace(async |namespace| {
        namespace.write(
            "task.yaml",
            "resources: {memory: 0.2, ordered: [{cpus: 4000}, {cpus: 0.1, labels: {candidate: second}}]}\nrun: echo\n",
        );
        let words = ["launch", "-y", "-c", "c", "task.yaml"];
        namespace.skiff().run(&words).await.code(0);
        let pod = namespace.head("c").await;
        let candidate = pod.labels().get("candidate");
        assert_eq!(candidate.map(String::as_str), Some("second"));
        let status = namespace.skiff().run(&["status"]).await.code(0);
        status.says("1x(cpus=0.1, mem=0.2)");
    })
    .await;
}
