//! The builder's image, which no package registry has: whoever runs the tests brings it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::Namespace;

/// The variable that names a rootless image of `BuildKit`: a reference that nodes can pull, or a tar file that is loaded
/// into the local cluster.
pub const IMAGE: &str = "SKIFF_E2E_BUILDKIT_IMAGE";

static LOADED: OnceCell<String> = OnceCell::const_new();

/// Has the test's user build with that image. False where there is none: then the test has nothing to test, and says so.
pub async fn configure(namespace: &Namespace) -> bool {
    let Some(given) = std::env::var(IMAGE).ok().filter(|given| !given.is_empty()) else {
        let text = format!(
            "\n!!! SKIPPED: a test of `enable_docker: BUILD` did not run. {IMAGE} must name a rootless image of BuildKit \
             (a reference, or a tar file)\n"
        );
        // Not captured, as what a test prints would be.
        let _ = io::stderr().write_all(text.as_bytes());
        return false;
    };
    let image = LOADED
        .get_or_init(async || {
            load(namespace, &given)
                .await
                .expect("the image can be loaded")
        })
        .await;
    let config = namespace.home().join(".skiff/config.yaml");
    let text = format!("kubernetes:\n  images: {{buildkit: '{image}'}}\n");
    std::fs::write(config, text).expect("a file in the test's home");
    true
}

/// Loads a tar file into the cluster; gives the name that the image has there.
async fn load(namespace: &Namespace, given: &str) -> Result<String> {
    let file = Path::new(given);
    if !file.is_file() {
        return Ok(given.to_owned());
    }
    namespace.kubernetes.load(file).await?;
    tag(file)
}

fn tag(archive: &Path) -> Result<String> {
    let file = File::open(archive).with_context(|| format!("cannot open {}", archive.display()))?;
    let mut archive = tar::Archive::new(file);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.path()? == Path::new("manifest.json") {
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            let manifest: Value = serde_json::from_str(&text)?;
            let tag = manifest[0]["RepoTags"][0].as_str();
            return Ok(tag.context("the image has no tag")?.to_owned());
        }
    }
    anyhow::bail!("no manifest.json in the archive")
}
