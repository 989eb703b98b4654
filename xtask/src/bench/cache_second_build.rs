//! The same build after its cluster was taken down and launched again, with a volume that keeps the cache.

use anyhow::Result;

use super::Bench;
use super::build_context::BuildContext;
use super::lab::Lab;
use super::measurement::Target;

const CLUSTER: &str = "bench-cache";
const VOLUME: &str = "bench-build-cache";
/// Work that a build has to do once: some ten seconds of a processor.
const WORK: &str = "dd if=/dev/urandom of=/data bs=1M count=64 && for i in 1 2 3 4; do gzip < /data | sha256sum; done";
/// Builds the image, and prints how many seconds it took.
const BUILD: &str = "start=$(date +%s%N); docker build --quiet --tag bench . > /dev/null || exit 1; \
     awk -v spent=$(($(date +%s%N) - start)) 'BEGIN { printf \"measured-%d=%.3f\\n\", 42, spent / 1e9 }'";

#[derive(Default)]
pub(super) struct CacheSecondBuild {
    task: String,
    volume: String,
    context: String,
    first: f64,
}

impl Bench for CacheSecondBuild {
    fn name(&self) -> &'static str {
        "cache_second_build"
    }

    fn about(&self) -> &'static str {
        "`docker build` after `down` and `launch` with a cache volume, beside the first one"
    }

    fn target(&self) -> Target {
        Target::TimesReference(0.1)
    }

    fn runs(&self) -> usize {
        3
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        let pod = lab.idle_pod("bench-idle")?;
        let context = BuildContext::write(lab, "build-cached", &pod, WORK)?;
        self.context = context.path().to_string_lossy().into_owned();
        let volume = format!("name: {VOLUME}\ntype: k8s-pvc\ninfra: k8s\nsize: 2Gi\n");
        self.volume = lab.write("bench-volume.yaml", &volume)?;
        let docker = format!("{{mode: ALL, cache_volume: {VOLUME}}}");
        self.task = lab.task_with(CLUSTER, &docker, BUILD)?;
        Ok(())
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        lab.run_skiff(&["volumes", "apply", "-y", &self.volume])?;
        self.first = self.build(lab)?;
        let second = self.build(lab)?;
        lab.run_skiff(&["volumes", "delete", "-y", VOLUME])?;
        Ok(second)
    }

    fn reference(&mut self, _lab: &mut Lab) -> Result<Option<f64>> {
        Ok(Some(self.first))
    }
}

impl CacheSecondBuild {
    fn build(&self, lab: &Lab) -> Result<f64> {
        let words = [
            "launch",
            "-y",
            "-c",
            CLUSTER,
            "--workdir",
            &self.context,
            &self.task,
        ];
        let seconds = lab.told(&words)?;
        lab.run_skiff(&["down", "-y", CLUSTER])?;
        Ok(seconds)
    }
}
