//! Ctrl-C: in the midst of a launch it undoes what was done, while output streams it only stops looking.

use skiff_test::namespace::{alone, small, with_namespace};
use skiff_test::{Namespace, Running};

use crate::capacity::{more_than_is_free, occupy_all_nodes};

#[tokio::test]
async fn ctrl_c_while_the_pod_cannot_be_scheduled_leaves_nothing() {
    with_namespace(async |namespace| {
        occupy_all_nodes(namespace).await;
        let launch = stuck_launch(namespace).await;
        assert_eq!(namespace.owners().await.len(), 2, "the launch has begun");
        launch.interrupt();
        let finished = launch.end().await.code(130).one_error();
        finished
            .notes("what this launch had created is removed")
            .never_says("never");
        assert_eq!(
            namespace.owners().await.len(),
            1,
            "only the other cluster is left"
        );
        namespace
            .skiff()
            .run(&["down", "-y", "other"])
            .await
            .code(0);
        namespace.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn ctrl_c_while_an_image_is_pulled_leaves_nothing() {
    with_namespace(async |namespace| {
        let image = [
            "--image-id",
            "docker:registry.invalid/nobody/nothing:1",
            "echo never",
        ];
        let mut launch = namespace.skiff().start(&small("c", &image));
        launch.stderr_has("registry.invalid").await;
        launch.interrupt();
        launch.end().await.code(130).never_says("never");
        namespace.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn ctrl_c_while_output_streams_leaves_the_job_running() {
    with_namespace(async |namespace| {
        let job = ["mkfifo ~/go; echo begun; read line < ~/go; echo ended with $line"];
        let mut launch = namespace.skiff().start(&small("c", &job));
        launch.stdout_has("begun").await;
        launch.interrupt();
        launch
            .end()
            .await
            .code(130)
            .notes("The job goes on")
            .notes("skiff logs c 1");
        let mut logs = namespace.skiff().start(&["logs", "c", "1"]);
        logs.stdout_has("begun").await;
        namespace.inside("c", "echo luck > ~/go").await;
        logs.end().await.code(0).says("ended with luck");
    })
    .await;
}

#[tokio::test]
async fn ctrl_c_on_an_existing_cluster_does_not_take_it_away() {
    with_namespace(async |namespace| {
        namespace.launch("c", &["true"]).await.code(0);
        let uid = namespace.head("c").await.metadata.uid;
        let mut again = namespace
            .skiff()
            .start(&small("c", &["echo begun; sleep 100000"]));
        again.stdout_has("begun").await;
        again.interrupt();
        again.end().await.code(130);
        assert_eq!(namespace.head("c").await.metadata.uid, uid);
        namespace
            .skiff()
            .run(&["cancel", "-y", "-a", "c"])
            .await
            .code(0);
        namespace
            .skiff()
            .run(&["exec", "c", "echo still here"])
            .await
            .code(0)
            .says("still here");
    })
    .await;
}

#[tokio::test]
async fn what_a_killed_launch_left_is_finished_by_the_next_one() {
    // The pod gets nearly all of a node in the end.
    alone(async |namespace| {
        occupy_all_nodes(namespace).await;
        let launch = stuck_launch(namespace).await;
        launch.kill();
        assert_eq!(launch.end().await.code, None);
        let status = namespace
            .skiff()
            .run(&["status", "c", "-o", "json"])
            .await
            .code(0)
            .json();
        assert_eq!(status[0]["status"], "INIT");
        namespace
            .skiff()
            .run(&["down", "-y", "other"])
            .await
            .code(0);
        let cpus = more_than_is_free(namespace).await;
        let next = namespace
            .skiff()
            .run(&["launch", "-y", "-c", "c", "--cpus", &cpus, "echo finished"])
            .await;
        next.code(0).says("finished").never_says("never");
        assert_eq!(namespace.pods().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_a_killed_launch_left_is_removed_by_down() {
    with_namespace(async |namespace| {
        occupy_all_nodes(namespace).await;
        let launch = stuck_launch(namespace).await;
        launch.kill();
        launch.end().await;
        namespace
            .skiff()
            .run(&["down", "-y", "-a"])
            .await
            .code(0)
            .notes("c is down");
        namespace.assert_nothing_left().await;
        assert!(namespace.pods().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn down_in_the_midst_of_a_launch_ends_it() {
    with_namespace(async |namespace| {
        occupy_all_nodes(namespace).await;
        let launch = stuck_launch(namespace).await;
        namespace
            .skiff()
            .run(&["down", "-y", "-a"])
            .await
            .code(0)
            .notes("c is down");
        let ended = launch.end().await.code(1).one_error();
        ended.notes(&namespace.head_name("c")).notes("hint:");
        namespace.assert_nothing_left().await;
    })
    .await;
}

/// A launch that waits for CPUs that another cluster of the namespace has.
async fn stuck_launch(namespace: &Namespace) -> Running {
    let task = "config: {kubernetes: {provision_timeout: -1}}\nrun: echo never\n";
    namespace.write("task.yaml", task);
    let cpus = more_than_is_free(namespace).await;
    let words = ["launch", "-y", "-c", "c", "--cpus", &cpus, "task.yaml"];
    let mut launch = namespace.skiff().start(&words);
    launch.stderr_has("Insufficient cpu").await;
    launch
}
