//! Docker containers that jobs start: which end with a job, and which stay.

use skiff_test::namespace::with_namespace;

/// Two nodes with Docker, and an image made of this pod's static busybox.
const TASK: &str = "num_nodes: 2\n\
    resources: {cpus: 0.1, memory: 0.5}\n\
    config: {kubernetes: {enable_docker: true}}\n\
    setup: tar -ch -C $(dirname $(command -v busybox)) busybox | docker import - box\n\
    run: docker run -d --name kept box /busybox sleep 100000\n";
/// A Compose project whose container does not obey SIGTERM within Compose's time.
const PROJECT: &str = "services: {a: {image: box, network_mode: none, stop_grace_period: 1h, \
    command: [/busybox, sleep, '100000']}}";
/// A container in the background, a project, and a container before them, none of which obeys SIGTERM.
const STUBBORN: &str = "docker run -d --name back box /busybox sleep 100000; \
    docker compose up & until docker ps --format '{{.Names}}' | grep sky_workdir-a; do sleep 0.2; done; \
    docker run --name front box /busybox sh -c \"echo begun=$SKYPILOT_NODE_RANK; exec /busybox sleep 100000\"";

#[tokio::test]
async fn cancel_ends_the_containers_of_a_job_on_every_node_and_leaves_those_of_others() {
    with_namespace(async |namespace| {
        namespace.write("task.yaml", TASK);
        let skiff = namespace.skiff();
        let launched = skiff.run(&["launch", "-y", "-c", "c", "task.yaml"]).await;
        launched.code(0);

        namespace.write("code/compose.yaml", PROJECT);
        let words = [
            "exec",
            "c",
            "--num-nodes",
            "2",
            "--workdir",
            "code",
            STUBBORN,
        ];
        let mut running = skiff.start(&words);
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
