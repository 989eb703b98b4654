//! Stop and start: pods go and come again, homes on volumes stay.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use kube::api::ListParams;
use skiff_proto::{Autostop, WaitFor};
use skiff_test::Namespace;
use skiff_test::namespace::with_namespace;

use crate::autostop::{row, set, wait_ended};

const HOME: &str = "kubernetes.home_volume.size=1";

async fn claims(namespace: &Namespace) -> Vec<String> {
    let claims = namespace.api::<PersistentVolumeClaim>();
    let claims = claims.list(&ListParams::default()).await;
    let claims = claims.expect("claims can be listed");
    let there = claims
        .iter()
        .filter(|claim| claim.metadata.deletion_timestamp.is_none());
    there.map(ResourceExt::name_any).collect()
}

#[tokio::test]
async fn a_cluster_that_is_stopped_keeps_its_home_and_its_jobs() {
    with_namespace(async |namespace| {
        let skiff = namespace.skiff();
        let first = [
            "--config",
            HOME,
            "-i",
            "30",
            "ls -A ~; rm ~/.bashrc; echo kept > ~/file",
        ];
        // The image's own home is there from the beginning.
        namespace
            .launch("c", &first)
            .await
            .code(0)
            .says(") .bashrc");
        skiff
            .run(&["stop", "-y", "c"])
            .await
            .code(0)
            .notes("c is stopped");
        assert!(namespace.pods().await.is_empty(), "pods are left");
        assert_eq!(
            claims(namespace).await,
            [format!("{}-home", namespace.head_name("c"))]
        );
        let status = row(namespace, "c").await.expect("it is there");
        assert_eq!(status["status"], "STOPPED");
        let exec = skiff.run(&["exec", "c", "true"]).await.code(1).one_error();
        exec.notes("STOPPED").notes("skiff start c");

        skiff
            .run(&["start", "c"])
            .await
            .code(0)
            .notes("Cluster is up: c.");
        let status = row(namespace, "c").await.expect("it is there");
        assert_eq!(
            (&status["status"], &status["autostop"]["idle_minutes"]),
            (&"UP".into(), &30.into())
        );
        let kept = namespace.inside("c", "cat /skiff/autostop.json").await;
        let kept = String::from_utf8_lossy(&kept).into_owned();
        assert!(kept.contains("1800000"), "the new agent knows: {kept}");
        skiff
            .run(&["logs", "c", "1"])
            .await
            .code(0)
            .says(") .bashrc");
        let second = skiff
            .run(&["exec", "c", "cat ~/file; ls -A ~"])
            .await
            .code(0);
        // It is filled once, and not again.
        second.says(") kept").never_says(") .bashrc").notes("ID: 2");

        let soon = Autostop {
            idle_ms: 500,
            down: false,
            wait_for: WaitFor::JobsAndSsh,
        };
        set(namespace, "c", soon).await;
        wait_ended(namespace, &namespace.head_name("c")).await;
        let status = skiff.run(&["status"]).await.code(0).says("STOPPED");
        status
            .notes("c: autostop stopped it after")
            .notes("skiff start c");
        namespace
            .launch("c", &["cat ~/file"])
            .await
            .code(0)
            .says(") kept")
            .notes("ID: 3");

        skiff.run(&["down", "-y", "c"]).await.code(0);
        assert_eq!(claims(namespace).await, [""; 0]);
        namespace.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn nodes_of_a_stopped_cluster_come_again_each_with_its_own_home() {
    with_namespace(async |namespace| {
        let skiff = namespace.skiff();
        let task = [
            "--num-nodes",
            "2",
            "--config",
            HOME,
            "echo $SKYPILOT_NODE_RANK > ~/rank",
        ];
        namespace.launch("c", &task).await.code(0);
        assert_eq!(claims(namespace).await.len(), 2);
        skiff.run(&["stop", "-y", "c"]).await.code(0);
        skiff.run(&["start", "c"]).await.code(0);
        let ranks = "echo home=$(cat ~/rank)-$SKYPILOT_NODE_RANK";
        let exec = skiff.run(&["exec", "c", "--num-nodes", "2", ranks]).await;
        exec.code(0).says("home=0-0").says("home=1-1");
        skiff.run(&["down", "-y", "c"]).await.code(0);
        assert_eq!(claims(namespace).await, [""; 0]);
        namespace.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn a_cluster_without_a_home_volume_says_how_it_could_be_stopped() {
    with_namespace(async |namespace| {
        namespace.launch("c", &["-d", "sleep 100000"]).await.code(0);
        let skiff = namespace.skiff();
        let stop = skiff.run(&["stop", "-y", "c"]).await.code(1).one_error();
        stop.notes("its home goes with its pods")
            .notes("--config kubernetes.home_volume.size=");
        let launch = namespace
            .launch("c", &["-i", "10", "echo never"])
            .await
            .code(1);
        launch
            .one_error()
            .never_says("never")
            .notes("cannot be stopped")
            .notes("--down");
        let status = row(namespace, "c").await.expect("it is there");
        assert_eq!(
            (&status["status"], &status["autostop"]),
            (&"UP".into(), &serde_json::Value::Null)
        );
        skiff.run(&["down", "-y", "c"]).await.code(0);
    })
    .await;
}
