//! A large file on its way into a pod.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::Bench;
use super::lab::Lab;
use super::measurement::Target;

const CLUSTER: &str = "bench-idle";
const BYTES: u64 = 100_000_000;
/// Where it arrives.
const PLACE: &str = "/tmp/bench";

#[derive(Default)]
pub(super) struct Scp {
    pod: String,
    file: String,
}

impl Bench for Scp {
    fn name(&self) -> &'static str {
        "scp"
    }

    fn about(&self) -> &'static str {
        "`scp` of 100 MB into the pod beside `kubectl cp` of the same"
    }

    /// 0.8 times its speed.
    fn target(&self) -> Target {
        Target::TimesReference(1.25)
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        self.pod = lab.idle_pod(CLUSTER)?;
        self.file = lab.write("noise", "")?;
        fill(&PathBuf::from(&self.file))
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        let config = lab.ssh_config(CLUSTER)?;
        let target = format!("{CLUSTER}:{PLACE}");
        lab.time_program("scp", &["-q", "-F", &config, &self.file, &target])
    }

    fn reference(&mut self, lab: &mut Lab) -> Result<Option<f64>> {
        let target = format!("{}:{PLACE}", self.pod);
        lab.time_kubectl(&["cp", "-c", "task", &self.file, &target])
            .map(Some)
    }
}

/// Noise: nothing on the way can make it smaller.
fn fill(file: &PathBuf) -> Result<()> {
    let copied = File::open("/dev/urandom").and_then(|noise| {
        let mut file = File::create(file)?;
        io::copy(&mut noise.take(BYTES), &mut file)
    });
    copied.with_context(|| format!("cannot write {}", file.display()))?;
    Ok(())
}
