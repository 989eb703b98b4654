//! The image that is built in the measurements: five steps from nothing, without a network.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::lab::Lab;
use crate::command;

/// A build's folder on this machine.
pub(super) struct BuildContext(PathBuf);

impl BuildContext {
    /// Writes the folder; its static busybox is the pod's. The third step's `work` is a command line.
    pub(super) fn write(lab: &Lab, name: &str, pod: &str, work: &str) -> Result<Self> {
        let folder = lab.tree(name)?;
        let dockerfile = format!(
            "FROM scratch\n\
             COPY busybox /bin/busybox\n\
             RUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n\
             RUN {work}\n\
             RUN mkdir /tree && for i in $(seq 500); do echo $i > /tree/$i; done\n\
             RUN tar c /tree /data | sha256sum > /sum\n"
        );
        let file = folder.join("Dockerfile");
        fs::write(&file, dockerfile).with_context(|| format!("cannot write {}", file.display()))?;
        fetch_busybox(lab, pod, &folder.join("busybox"))?;
        Ok(Self(folder))
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

fn fetch_busybox(lab: &Lab, pod: &str, to: &Path) -> Result<()> {
    let find = "cat \"$(command -v busybox)\"";
    let file = fs::File::create(to).with_context(|| format!("cannot write {}", to.display()))?;
    let mut copy = lab.kubectl(&["exec", pod, "-c", "task", "--", "sh", "-c", find]);
    command::shown(copy.stdout(file))?;
    let mut executable = std::process::Command::new("chmod");
    command::shown(executable.arg("+x").arg(to))
}
