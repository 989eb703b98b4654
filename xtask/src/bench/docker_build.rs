//! A build by the pod's daemon beside one by the same image's daemon on the node itself.

use anyhow::Result;

use super::Bench;
use super::build_context::BuildContext;
use super::lab::Lab;
use super::measurement::Target;
use super::node_daemon::NodeDaemon;

const CLUSTER: &str = "bench-docker-build";
/// What the longest step does: about two seconds of a processor, and a layer of 48 MB.
const WORK: &str = "dd if=/dev/urandom of=/data bs=1M count=48 && gzip < /data > /data.gz";
/// Builds the image without any cache, and prints how many seconds it took; what was built is then removed.
const BUILD: &str = "start=$(date +%s%N); \
     docker build --no-cache --quiet --tag bench . > /dev/null || exit 1; \
     end=$(date +%s%N); \
     docker image rm --force bench > /dev/null; docker builder prune --all --force > /dev/null; \
     awk -v spent=$((end - start)) 'BEGIN { printf \"measured-%d=%.3f\\n\", 42, spent / 1e9 }'";

#[derive(Default)]
pub(super) struct DockerBuild {
    node: Option<NodeDaemon>,
    context: String,
}

impl Bench for DockerBuild {
    fn name(&self) -> &'static str {
        "docker_build"
    }

    fn about(&self) -> &'static str {
        "`docker build --no-cache` of 5 steps in a pod, beside the same image's dockerd on the node (chroot)"
    }

    fn target(&self) -> Target {
        Target::TimesReference(1.1)
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        lab.cluster_up()?;
        let task = lab.task_with(CLUSTER, "true", "docker version")?;
        lab.run_skiff(&["launch", "-y", "-c", CLUSTER, &task])?;
        let context = BuildContext::write(lab, "build", &lab.pod(CLUSTER)?, WORK)?;
        self.context = context.path().to_string_lossy().into_owned();
        self.node = Some(NodeDaemon::start(lab, &context)?);
        self.value(lab)?;
        self.reference(lab).map(drop)
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        lab.told(&["exec", CLUSTER, "--workdir", &self.context, BUILD])
    }

    fn reference(&mut self, _lab: &mut Lab) -> Result<Option<f64>> {
        self.node.as_mut().map(|node| node.told(BUILD)).transpose()
    }
}
