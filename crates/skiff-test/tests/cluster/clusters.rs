//! Clusters: taking them down by name and pattern, and names that mean none.

use skiff_test::Namespace;
use skiff_test::namespace::with_namespace;

async fn names(namespace: &Namespace) -> Vec<String> {
    let status = namespace
        .skiff()
        .run(&["status", "-o", "json"])
        .await
        .code(0)
        .json();
    let clusters = status.as_array().cloned().expect("status is a list");
    clusters
        .iter()
        .filter_map(|cluster| cluster["name"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn down_takes_names_patterns_and_all() {
    with_namespace(async |namespace| {
        let skiff = namespace.skiff();
        for cluster in ["dev-a", "dev-b", "other", "last"] {
            namespace
                .launch(cluster, &["-d", "sleep 100000"])
                .await
                .code(0);
        }
        assert_eq!(names(namespace).await, ["dev-a", "dev-b", "last", "other"]);
        skiff
            .run(&["down", "-y", "dev-*"])
            .await
            .code(0)
            .notes("dev-a is down")
            .notes("dev-b is down");
        assert_eq!(names(namespace).await, ["last", "other"]);
        let partly = skiff
            .run(&["down", "-y", "other", "nobody"])
            .await
            .code(1)
            .one_error();
        partly
            .notes("other is down")
            .notes("there is no cluster `nobody`");
        skiff
            .run(&["down", "-y", "-a"])
            .await
            .code(0)
            .notes("last is down");
        namespace.assert_nothing_left().await;
        skiff
            .run(&["down", "-y", "-a"])
            .await
            .code(0)
            .notes("There is no cluster to take down");
        skiff.run(&["status"]).await.code(0).says("No clusters");
    })
    .await;
}

#[tokio::test]
async fn commands_on_a_cluster_that_is_not_there_say_so() {
    with_namespace(async |namespace| {
        let commands: [&[&str]; 5] = [
            &["exec", "ghost", "true"],
            &["logs", "ghost"],
            &["queue", "ghost"],
            &["cancel", "-y", "ghost"],
            &["down", "-y", "ghost"],
        ];
        for command in commands {
            let finished = namespace.skiff().run(command).await.code(1).one_error();
            finished
                .notes("there is no cluster `ghost`")
                .notes(&namespace.name)
                .notes("hint: `skiff status`");
        }
        namespace
            .skiff()
            .run(&["status", "ghost"])
            .await
            .code(0)
            .notes("there is no cluster `ghost`");
        namespace.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn users_see_their_own_clusters_unless_they_ask_for_all() {
    with_namespace(async |namespace| {
        namespace
            .launch("shared-name", &["-d", "sleep 100000"])
            .await
            .code(0);
        let other = namespace
            .skiff()
            .with("USER", "somebody")
            .with("SKYPILOT_USER_ID", "50aeb0d7");
        other.run(&["status"]).await.code(0).says("No clusters");
        other
            .run(&["queue", "shared-name"])
            .await
            .code(1)
            .notes("there is no cluster");
        other.run(&["down", "-y", "-a"]).await.code(0);
        other
            .run(&["status", "-u"])
            .await
            .code(0)
            .says("shared-name")
            .says("tester");
        assert_eq!(names(namespace).await, ["shared-name"]);
    })
    .await;
}

#[tokio::test]
async fn down_ends_running_jobs_and_waits_until_nothing_is_left() {
    with_namespace(async |namespace| {
        namespace
            .launch("c", &["-d", "trap '' TERM; echo begun; sleep 100000"])
            .await
            .code(0);
        let mut follower = namespace.skiff().start(&["logs", "c"]);
        follower.stdout_has("begun").await;
        namespace
            .skiff()
            .run(&["down", "-y", "c"])
            .await
            .code(0)
            .notes("Cluster c is down");
        assert!(
            namespace.pods().await.is_empty(),
            "a pod is left after `down`"
        );
        namespace.assert_nothing_left().await;
        // The follower learns of it one way or the other, and does not hang.
        let follower = follower.end().await;
        assert!(matches!(follower.code, Some(1 | 100 | 103)), "{follower}");
    })
    .await;
}
