//! Docker containers that jobs start: which end with a job, and which stay.

use skiff_test::namespace::with_namespace;

/// Two nodes with Docker, and an image made of this pod's static busybox.
const TASK: &str = "num_nodes: 2\n\
    resources: {cpus: 0.1, memory: 0.5}\n\
    config: {kubernetes: {enable_docker: true}}\n\
    setup: tar -ch -C $(dirname $(command -v busybox)) busybox | docker import - box\n\
    run: docker run -d --name kept box /busybox sleep 100000\n";
/// One container in the background and one before it, neither of which obeys SIGTERM.
const STUBBORN: &str = "docker run -d --name back box /busybox sleep 100000; \
    docker run --name front box /busybox sh -c \"echo begun=$SKYPILOT_NODE_RANK; exec /busybox sleep 100000\"";

#[tokio::test]
async fn cancel_ends_the_containers_of_a_job_on_every_node_and_leaves_those_of_others() {
    with_namespace(async |namespace| {
        namespace.write("task.yaml", TASK);
        let skiff = namespace.skiff();
        let launched = skiff.run(&["launch", "-y", "-c", "c", "task.yaml"]).await;
        launched.code(0);

        let mut running = skiff.start(&["exec", "c", "--num-nodes", "2", STUBBORN]);
        for line in ["begun=0", "begun=1"] {
            running.stdout_has(line).await;
        }
        let cancelled = skiff.run(&["cancel", "-y", "c", "2"]).await;
        cancelled.code(0).notes("CANCELLED");
        running.end().await.code(103);

        let names = "echo left=$(docker ps --format '{{.Names}}' | tr '\\n' '+')";
        let left = skiff.run(&["exec", "c", "--num-nodes", "2", names]).await;
        let stdout = left.code(0).stdout;
        assert_eq!(stdout.matches("left=kept+\n").count(), 2, "{stdout}");
    })
    .await;
}
