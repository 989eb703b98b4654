//! The image of the rootless builder, which no package registry has: whoever measures brings it.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::lab::Lab;
use crate::command;

/// Names it: a reference that nodes can pull, or a tar file.
const VARIABLE: &str = "SKIFF_E2E_BUILDKIT_IMAGE";

/// Whether there is one.
pub(super) fn is_given() -> bool {
    given().is_some()
}

/// Brings it to the cluster, and gives its name there.
pub(super) fn bring(lab: &Lab) -> Result<String> {
    let given = given().with_context(|| {
        format!("{VARIABLE} must name a rootless image of BuildKit: a reference, or a tar file")
    })?;
    if !Path::new(&given).is_file() {
        return Ok(given);
    }
    lab.load_image(&given)?;
    let mut read = Command::new("tar");
    let manifest = command::captured(read.args(["-xOf", &given, "manifest.json"]))?;
    let manifest: Value = serde_json::from_str(&manifest).context("the image has no manifest")?;
    let name = manifest[0]["RepoTags"][0].as_str();
    Ok(name.context("the image has no name")?.to_owned())
}

fn given() -> Option<String> {
    env::var(VARIABLE).ok().filter(|given| !given.is_empty())
}
