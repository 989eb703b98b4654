//! `enable_docker: BUILD`: images are built without privileges, and everything else says why not.
//!
//! Tests of the pains that unprivileged builders are known for bear their numbers; those that cannot be provoked on a
//! local cluster are in `docs/design/docker.md`.

use std::time::Duration;

use skiff_test::namespace::{Namespace, with_namespace};
use skiff_test::{Program, buildkit};

/// A builder's image is large, and its first build starts a lot.
const PATIENCE: Duration = Duration::from_mins(3);
/// An image of this pod's static busybox, with files of several owners.
const DOCKERFILE: &str = "FROM scratch\n\
    COPY busybox /bin/busybox\n\
    RUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n\
    RUN mkdir /data && echo x > /data/theirs && chown 1234:42 /data/theirs && chown 33:33 /data\n\
    USER 33:33\n\
    RUN touch /data/own && echo \"owners=$(stat -c %u:%g /data/theirs /data/own | tr '\\n' '+')\"\n";
const BUSYBOX: &str = "cp $(command -v busybox) .";

fn task(namespace: &Namespace, more: &str) {
    namespace.write("code/Dockerfile", DOCKERFILE);
    let text = format!(
        "workdir: code\nresources: {{cpus: 0.1, memory: 0.5}}\nconfig:\n  kubernetes:\n    enable_docker: \
         BUILD\n{more}setup: {BUSYBOX}\n"
    );
    namespace.write("task.yaml", &text);
}

fn skiff(namespace: &Namespace) -> Program {
    namespace.skiff().within(PATIENCE)
}

async fn launched(namespace: &Namespace, run: &str) -> skiff_test::Finished {
    let launch = ["launch", "-y", "-c", "b", "task.yaml"];
    skiff(namespace).run(&launch).await.code(0);
    skiff(namespace).run(&["exec", "b", run]).await
}

#[tokio::test]
async fn images_are_built_at_once_by_any_user_and_nothing_is_privileged() {
    with_namespace(async |namespace| {
        if !buildkit::configure(namespace).await {
            return;
        }
        // Whoever the image's user is.
        task(
            namespace,
            "    pod_config: {spec: {containers: [{securityContext: {runAsUser: 4321, runAsGroup: 4321}}]}}\n",
        );
        let build = "id -u; docker buildx build --progress plain . && docker build -q --output type=oci,dest=/tmp/i.tar . \
                     && tar -tf /tmp/i.tar && buildctl debug workers && docker buildx ls";
        let first = launched(namespace, build).await.code(0);
        first
            .says("4321\n")
            .says("owners=1234:42+33:33+")
            .says("blobs/sha256")
            .says("skiff0");

        let again = "docker buildx build --progress plain . 2>&1 | grep -c CACHED";
        let cached = skiff(namespace).run(&["exec", "b", again]).await;
        cached.code(0).says("4\n");

        let run = skiff(namespace)
            .run(&["exec", "b", "docker run --rm hello-world"])
            .await;
        run.says("this pod builds images and runs no containers")
            .says("`enable_docker: ALL`");
        let load = skiff(namespace)
            .run(&["exec", "b", "cd ~/sky_workdir; docker buildx build --load -t x ."])
            .await;
        load.says("this pod builds images and keeps none")
            .says("docker buildx build --push");

        let status = skiff(namespace).run(&["status", "-v"]).await.code(0);
        status.says("overlayfs").says("READY");
        for pod in namespace.pods().await {
            let spec = pod.spec.expect("a pod has a spec");
            let containers = spec.containers.iter();
            let all = containers.chain(spec.init_containers.iter().flatten());
            for container in all {
                let context = container.security_context.as_ref();
                let privileged = context.and_then(|context| context.privileged);
                assert_ne!(privileged, Some(true), "{}", container.name);
            }
        }
        let wrong = "config: {kubernetes: {enable_docker: ALL}}\nrun: docker run x\n";
        namespace.write("all.yaml", wrong);
        let refused = skiff(namespace)
            .run(&["launch", "-y", "-c", "b", "all.yaml"])
            .await;
        refused.code(1).notes("builder without a daemon");
        skiff(namespace).run(&["down", "-y", "b"]).await.code(0);
        namespace.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn a_cache_volume_serves_the_builder_of_the_next_launch() {
    with_namespace(async |namespace| {
        if !buildkit::configure(namespace).await {
            return;
        }
        let volume = "name: cache\ntype: k8s-pvc\ninfra: k8s\nsize: 1Gi\n";
        namespace.write("volume.yaml", volume);
        let apply = ["volumes", "apply", "-y", "volume.yaml"];
        skiff(namespace).run(&apply).await.code(0);
        task(namespace, "");
        let on_volume = "--config=kubernetes.enable_docker.cache_volume=cache";
        let launch = ["launch", "-y", "-c", "b", on_volume, "task.yaml"];
        let build = "docker buildx build --progress plain . 2>&1 | grep -c CACHED; true";
        for cached in ["0\n", "4\n"] {
            skiff(namespace).run(&launch).await.code(0);
            let done = skiff(namespace).run(&["exec", "b", build]).await;
            done.code(0).says(cached);
            skiff(namespace).run(&["down", "-y", "b"]).await.code(0);
        }
    })
    .await;
}

#[tokio::test]
async fn d01_a_policy_that_takes_the_builders_rights_is_named() {
    with_namespace(async |namespace| {
        if !buildkit::configure(namespace).await {
            return;
        }
        let policy = "    pod_config: {spec: {containers: [{name: buildkit, securityContext: \
                      {allowPrivilegeEscalation: false}}]}}\n";
        task(namespace, policy);
        let launch = ["launch", "-y", "-c", "b", "task.yaml"];
        let failed = skiff(namespace).run(&launch).await;
        failed
            .says("Docker did not become ready: the container may not gain rights")
            .says("exempt the container `buildkit`");
    })
    .await;
}

#[tokio::test]
async fn d05_what_a_step_leaves_running_is_ended_and_holds_nothing_up() {
    with_namespace(async |namespace| {
        if !buildkit::configure(namespace).await {
            return;
        }
        task(namespace, "");
        // The process keeps the step's output open: the builder would wait for it.
        let build = "printf 'FROM scratch\\nCOPY busybox /bin/busybox\\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\\n\
                     RUN /bin/busybox setsid /bin/busybox sleep 54321 & echo begun\\n\
                     RUN echo left=$(/bin/busybox ps | /bin/busybox grep -c \"sleep 5432[1]\")\\n' > left && \
                     docker buildx build --progress plain -f left .";
        let done = launched(namespace, build).await.code(0);
        done.says("left=0");
    })
    .await;
}

#[tokio::test]
async fn d07_a_step_that_the_kernel_killed_for_memory_is_named() {
    with_namespace(async |namespace| {
        if !buildkit::configure(namespace).await {
            return;
        }
        namespace.write("code/Dockerfile", DOCKERFILE);
        namespace.write(
            "task.yaml",
            &format!(
                "workdir: code\nresources: {{cpus: 0.1, memory: 0.5}}\nconfig:\n  kubernetes:\n    enable_docker: {{mode: \
                 BUILD, resources: {{limits: {{memory: 160Mi}}}}}}\nsetup: {BUSYBOX}\n"
            ),
        );
        let build = "printf 'FROM scratch\\nCOPY busybox /bin/busybox\\nRUN [\"/bin/busybox\", \"tail\", \
                     \"/dev/zero\"]\\n' > eats && docker buildx build --progress plain -f eats .";
        launched(namespace, build).await.says("137");
        // The notice is written a moment after the kernel's deed.
        let waiting = "until grep -q 'for want of memory' /skiff/docker/report.json; do sleep 0.2; done";
        skiff(namespace).run(&["exec", "b", waiting]).await.code(0);
        let status = skiff(namespace).run(&["status", "-v"]).await.code(0);
        status
            .says("for want of memory")
            .says("raise the limit of the container `buildkit`");
    })
    .await;
}

#[tokio::test]
async fn a_builder_that_dies_fails_the_job_with_its_cause_and_comes_back() {
    with_namespace(async |namespace| {
        if !buildkit::configure(namespace).await {
            return;
        }
        task(namespace, "");
        let launch = ["launch", "-y", "-c", "b", "task.yaml"];
        skiff(namespace).run(&launch).await.code(0);
        let staying =
            "echo begun; while [ -S /skiff/docker/buildkitd.sock ]; do sleep 0.1; done; exit 7";
        let mut running = skiff(namespace).start(&["exec", "b", staying]);
        running.stdout_has("begun").await;
        let kill = "kill -9 $(grep -lx buildkitd /proc/[0-9]*/comm | cut -d/ -f3)";
        namespace.inside_of("b", "buildkit", kill).await;
        let failed = running.end().await;
        failed.says("the builder died while the job ran: BuildKit ended");
        let again = skiff(namespace)
            .run(&["exec", "b", "cd ~/sky_workdir; docker buildx build -q ."])
            .await;
        again.code(0);
    })
    .await;
}
