//! A full disk in the pod.
//!
//! An emptyDir has no size here that a container would feel, so the test, which runs on the node,
//! mounts a tiny tmpfs over the folder in which the agent takes syncs in.

use skiff_test::host;
use skiff_test::namespace::{small, with_namespace};

/// Where contents wait until their tree is whole.
const INCOMING: &str = "/skiff/sync/incoming";

#[tokio::test]
async fn a_tree_that_does_not_fit_is_told_and_changes_nothing_and_the_next_one_goes_through() {
    with_namespace(async |namespace| {
        let old = namespace.write("code/big", "old");
        namespace.write("data/one", "old");
        let task = "workdir: code\nfile_mounts: {/srv/of/mine: ./data}\nrun: echo ran\n";
        namespace.write("task.yaml", task);
        let launch = small("c", &["task.yaml"]);
        namespace.skiff().run(&launch).await.code(0);
        let head = namespace.head_name("c");
        namespace.inside("c", &format!("mkdir -p {INCOMING}")).await;
        host::mount_in_pod(&namespace.head("c").await, INCOMING, "1m").await;

        let big = namespace.write("data/two", &"x".repeat(3 << 20));
        namespace.write("code/big", "new");
        let full = namespace.skiff().run(&launch).await.code(1).one_error();
        full.notes("No space left on device")
            .notes(&head)
            .notes("hint:")
            .never_says("ran");
        let look = "cat ~/sky_workdir/big /srv/of/mine/*";
        assert_eq!(namespace.inside("c", look).await, b"oldold");
        let queue = namespace
            .skiff()
            .run(&["queue", "c", "-o", "json"])
            .await
            .code(0)
            .json();
        assert_eq!(
            queue["c"].as_array().map(Vec::len),
            Some(1),
            "a job was submitted without its files"
        );

        std::fs::write(big, "small").expect("own file");
        std::fs::write(old, "new").expect("own file");
        let fits = namespace.skiff().run(&launch).await.code(0);
        fits.says("ran");
        assert_eq!(namespace.inside("c", look).await, b"newoldsmall");
    })
    .await;
}
