//! Pains of a daemon in a sidecar: its readiness, its end, its limits, the paths that it shares with jobs.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::EvictParams;
use skiff_test::namespace::with_namespace;

/// A task whose daemon has an image of this pod's static busybox; `rest` is more of the configuration.
fn task(rest: &str) -> String {
    format!(
        "resources: {{cpus: 0.1, memory: 0.5}}\n\
         config: {{kubernetes: {{enable_docker: true{rest}}}}}\n\
         setup: tar -ch -C $(dirname $(command -v busybox)) busybox | docker import - box\n"
    )
}

/// Eats so many bytes inside of a nested container.
fn eat(bytes: u64) -> String {
    format!(
        "docker run --rm box /busybox sh -c 'x=$(/busybox head -c {bytes} /dev/zero | /busybox tr \"\\\\0\" x); echo never'"
    )
}

#[tokio::test]
async fn c06_a_container_that_eats_more_than_the_sidecars_limit_is_killed_inside_and_the_cause_told()
 {
    with_namespace(async |namespace| {
        let limit = ", pod_config: {spec: {containers: [{name: docker, resources: {limits: {memory: 256Mi}}}]}}";
        namespace.write("task.yaml", &task(limit));
        let launched = namespace.skiff().run(&["launch", "-y", "-c", "c", "task.yaml"]).await;
        launched.code(0);

        let skiff = namespace.skiff();
        let eaten = skiff.run(&["exec", "c", &eat(1_000_000_000)]).await.code(100);
        eaten
            .says("Cause: out of memory: the kernel killed a process of a container or build in Docker")
            .says("at the Docker sidecar's memory limit of 256 MiB")
            .says("`enable_docker.resources`")
            .never_says("never")
            .never_says("daemon died");
        let queue = skiff.run(&["queue", "c", "-o", "json"]).await.code(0).json();
        let cause = queue["c"][0]["cause"].as_str().unwrap_or_default();
        assert!(cause.contains("256 MiB"), "{queue}");

        // The daemon has survived, and what runs in it is counted for the pod.
        let next = "docker run --rm box /busybox sh -c 'echo score=$(/busybox cat /proc/self/oom_score_adj)'";
        skiff.run(&["exec", "c", next]).await.code(0).says("score=0");
        let head = namespace.head("c").await;
        let restarts = |pod: &Pod| {
            let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
            Some(statuses.iter().map(|container| container.restart_count).sum::<i32>())
        };
        assert_eq!(restarts(&head), Some(0));
    })
    .await;
}

#[tokio::test]
async fn c04_c05_c08_the_daemons_death_fails_the_job_with_the_end_of_its_log_and_the_next_job_works()
 {
    with_namespace(async |namespace| {
        namespace.write("task.yaml", &task(""));
        let skiff = namespace.skiff();
        skiff
            .run(&["launch", "-y", "-c", "c", "task.yaml"])
            .await
            .code(0);
        let job = "docker run --rm box /busybox sh -c 'echo begun; exec /busybox sleep 100000'";
        let mut running = skiff.start(&["exec", "c", job]);
        running.stdout_has("begun").await;
        // Whoever may use the daemon is root beside it.
        let kill = "/skiff/tools/bin/docker run --rm --privileged --pid=host box \
                    /busybox sh -c '/busybox kill -9 $(/busybox pidof dockerd)'";
        namespace.inside("c", kill).await;
        running
            .end()
            .await
            .code(100)
            .says("Cause: the Docker daemon died while the job ran: the daemon ended with code 137")
            .says("the end of its log:");
        // The leftovers of the one that was killed do not stop the new one: the job waits until it is there. Its networks
        // have the pod's own size of packets.
        let next = "docker network create own; docker run --rm --network own box \
                    /busybox sh -c 'echo again=$(/busybox cat /sys/class/net/eth0/mtu)'; \
                    echo pod=$(cat /sys/class/net/eth0/mtu)";
        let next = skiff.run(&["exec", "c", next]).await.code(0);
        let word = |before: &str| {
            let mut rest = next.stdout.split(before);
            rest.nth(1).and_then(|rest| rest.split_whitespace().next())
        };
        assert!(word("again=").is_some(), "{next}");
        assert_eq!(word("again="), word("pod="), "{next}");

        // How the sidecar ended decides nothing.
        let status = skiff.run(&["status", "-o", "json"]).await.code(0).json();
        assert_eq!(status[0]["status"], "UP", "{status}");
    })
    .await;
}

#[tokio::test]
async fn c03_the_daemon_outlives_a_job_that_uses_it_while_its_pod_is_evicted() {
    with_namespace(async |namespace| {
        namespace.write("task.yaml", &task(""));
        let skiff = namespace.skiff();
        skiff.run(&["launch", "-y", "-c", "c", "task.yaml"]).await.code(0);
        let job = "trap 'for i in 1 2 3; do docker run --rm box /busybox echo saved=$i; sleep 1; done; echo all saved; exit 0' TERM; \
                   echo begun; while true; do sleep 0.2; done";
        let mut running = skiff.start(&["exec", "c", job]);
        running.stdout_has("begun").await;
        let name = namespace.head_name("c");
        let pods = namespace.api::<Pod>();
        pods.evict(&name, &EvictParams::default()).await.expect("it may be evicted");
        running.stdout_has("all saved").await;
        let ended = running.end().await;
        ended.says("saved=1").says("saved=3");
        // The sidecar sees that the agent has left: nobody waits for the end of the grace.
        let gone = namespace.wait_for_pod(&name, "deletion", |pod| pod.is_none());
        tokio::time::timeout(Duration::from_secs(30), gone).await.expect("it goes with its job");
    })
    .await;
}
