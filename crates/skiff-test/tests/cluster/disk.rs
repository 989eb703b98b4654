//! A full disk in the pod.
//!
//! An emptyDir has no size here that a container would feel, so the test, which runs on the node,
//! mounts a tiny tmpfs over the folder in which the agent takes uploads in.

use skiff_test::host;
use skiff_test::namespace::with_namespace;

#[tokio::test]
async fn a_workdir_that_does_not_fit_is_told_and_the_next_one_that_fits_goes_through() {
    with_namespace(async |namespace| {
        namespace.launch("c", &["true"]).await.code(0);
        let head = namespace.head_name("c");
        namespace.inside("c", "mkdir -p /skiff/incoming").await;
        host::mount_in_pod(&namespace.head("c").await, "/skiff/incoming", "1m").await;
        let big = namespace.write("code/big", &"x".repeat(3 << 20));
        let full = namespace
            .skiff()
            .run(&["exec", "c", "--workdir", "code", "echo never"])
            .await
            .code(1)
            .one_error();
        full.notes("No space left on device")
            .notes(&head)
            .notes("hint:")
            .never_says("never");
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
        std::fs::write(big, "small now").expect("own file");
        let fits = namespace
            .skiff()
            .run(&["exec", "c", "--workdir", "code", "cat big; echo"])
            .await
            .code(0);
        fits.says("small now");
    })
    .await;
}
