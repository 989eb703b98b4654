//! A tree of files on its way to a node: 10,000 files of 10 kB in 100 folders. Every other file is text, which can be
//! compressed to a third, the rest is noise, which cannot.
//!
//! Skiff's side is a whole `skiff exec` of `true`; the tree of the run before is removed from the node, unmeasured.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Bench;
use super::lab::Lab;
use super::measurement::Target;
use crate::command;

const CLUSTER: &str = "bench-idle";
const FILES: usize = 10_000;
const BYTES: usize = 10_000;
/// Where the reference unpacks: on the file system of the workdir.
const PLACE: &str = "/skiff/bench";

/// The first sync.
#[derive(Default)]
pub(super) struct Sync {
    pod: String,
    tree: String,
    empty: String,
}

/// The next one, of the same tree.
#[derive(Default)]
pub(super) struct SyncUnchanged {
    tree: String,
}

impl Bench for Sync {
    fn name(&self) -> &'static str {
        "sync"
    }

    fn about(&self) -> &'static str {
        "first `skiff exec --workdir` of 10,000 files of 100 MB beside `tar c . | kubectl exec -i POD -- tar x`"
    }

    fn target(&self) -> Target {
        Target::TimesReference(1.0)
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        self.pod = lab.idle_pod(CLUSTER)?;
        self.tree = tree(lab)?;
        self.empty = lab.tree("empty")?.to_string_lossy().into_owned();
        Ok(())
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        lab.run_skiff(&["exec", CLUSTER, "--workdir", &self.empty, "true"])?;
        lab.time_skiff(&["exec", CLUSTER, "--workdir", &self.tree, "true"])
    }

    fn reference(&mut self, lab: &mut Lab) -> Result<Option<f64>> {
        let anew = format!("rm -rf {PLACE} && mkdir {PLACE}");
        let words = ["exec", &self.pod, "-c", "task", "--", "sh", "-c", &anew];
        command::captured(&mut lab.kubectl(&words))?;
        let words = [
            "exec", "-i", &self.pod, "-c", "task", "--", "tar", "x", "-C", PLACE,
        ];
        lab.time_kubectl_fed_with(&self.tree, &words).map(Some)
    }
}

impl Bench for SyncUnchanged {
    fn name(&self) -> &'static str {
        "sync_unchanged"
    }

    fn about(&self) -> &'static str {
        "the next `skiff exec --workdir` of these 10,000 files"
    }

    fn target(&self) -> Target {
        Target::AtMost(0.3)
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        lab.idle_pod(CLUSTER)?;
        self.tree = tree(lab)?;
        lab.run_skiff(&["exec", CLUSTER, "--workdir", &self.tree, "true"])
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        lab.time_skiff(&["exec", CLUSTER, "--workdir", &self.tree, "true"])
    }
}

/// Writes the tree, the same one every time.
fn tree(lab: &Lab) -> Result<String> {
    let folder = lab.tree("tree")?;
    let mut noise = Noise(1);
    for number in 0..FILES {
        let parent = folder.join(format!("{:02}", number / 100));
        let content = if number % 2 == 0 {
            noise.text(BYTES)
        } else {
            noise.bytes(BYTES)
        };
        write(&parent, &format!("file-{number}"), &content)?;
    }
    Ok(folder.to_string_lossy().into_owned())
}

fn write(parent: &Path, name: &str, content: &[u8]) -> Result<()> {
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(parent.join(name), content))
        .with_context(|| format!("cannot write below {}", parent.display()))
}

/// Numbers each of which leads to the next.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.next().to_le_bytes());
        words.flatten().take(length).collect()
    }

    /// Words of a language with a few hundred of them.
    fn text(&mut self, length: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| format!("word{} ", self.next() % 500).into_bytes());
        words.flatten().take(length).collect()
    }
}
