//! The image archive: an OCI layout that Docker's `load` understands too.
//!
//! The layer is compressed with zstd: it is read and stored three times as fast as plain tar, and
//! takes a third of the disk in every node's store.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::recipe::Recipe;
use crate::command;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Makes the archive of an image with one layer; returns its file, which lies in `scratch`.
pub(super) fn write(layer: &Path, recipe: &Recipe, name: &str, scratch: &Path) -> Result<PathBuf> {
    let layout = scratch.join("layout");
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| format!("cannot create {}", blobs.display()))?;

    let plain = digest_of_file(layer)?;
    let compressed = scratch.join("layer.tar.zst");
    let mut compress = Command::new("zstd");
    compress
        .args(["-q", "-f", "-3", "-T0", "-o"])
        .arg(&compressed)
        .arg(layer);
    command::logged(&mut compress, &scratch.join("zstd.log"))?;
    let layer_blob = Blob::from_file(&compressed, &blobs, LAYER)?;

    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": recipe.config,
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{plain}")]},
        "history": [{"created_by": "cargo xtask images"}],
    });
    let config_blob = Blob::from_value(&config, &blobs, CONFIG)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config_blob.descriptor(),
        "layers": [layer_blob.descriptor()],
    });
    let manifest_blob = Blob::from_value(&manifest, &blobs, MANIFEST)?;
    write_indexes(&layout, name, [&manifest_blob, &config_blob, &layer_blob])?;

    let archive = scratch.join("image.tar");
    let mut pack = Command::new("tar");
    pack.args(["--owner=0", "--group=0", "--numeric-owner", "-C"])
        .arg(&layout)
        .arg("-cf");
    pack.arg(&archive)
        .args(["oci-layout", "index.json", "manifest.json", "blobs"]);
    command::logged(&mut pack, &scratch.join("tar.log"))?;
    Ok(archive)
}

/// Writes the indexes of both formats.
fn write_indexes(layout: &Path, name: &str, blobs: [&Blob; 3]) -> Result<()> {
    let [manifest, config, layer] = blobs;
    let mut descriptor = manifest.descriptor();
    let tag = name.rsplit(':').next().unwrap_or_default();
    descriptor["annotations"] = json!({
        "io.containerd.image.name": name,
        "org.opencontainers.image.ref.name": tag,
    });
    let index = json!({"schemaVersion": 2, "manifests": [descriptor]});
    let docker = json!([{"Config": config.path(), "RepoTags": [name], "Layers": [layer.path()]}]);
    let version = json!({"imageLayoutVersion": "1.0.0"});
    for (file, value) in [
        ("oci-layout", version),
        ("index.json", index),
        ("manifest.json", docker),
    ] {
        fs::write(layout.join(file), value.to_string())
            .with_context(|| format!("cannot write {file} of the image"))?;
    }
    Ok(())
}

/// A file of the layout, named by its digest.
struct Blob {
    media_type: &'static str,
    digest: String,
    bytes: u64,
}

impl Blob {
    fn from_file(file: &Path, blobs: &Path, media_type: &'static str) -> Result<Self> {
        let digest = digest_of_file(file)?;
        let bytes = fs::metadata(file)
            .context("cannot read the size of a layer")?
            .len();
        fs::rename(file, blobs.join(&digest)).context("cannot move a layer into the image")?;
        Ok(Self {
            media_type,
            digest,
            bytes,
        })
    }

    fn from_value(value: &Value, blobs: &Path, media_type: &'static str) -> Result<Self> {
        let text = value.to_string();
        let digest = digest_of_bytes(text.as_bytes())?;
        fs::write(blobs.join(&digest), &text).context("cannot write a part of the image")?;
        Ok(Self {
            media_type,
            digest,
            bytes: text.len() as u64,
        })
    }

    fn descriptor(&self) -> Value {
        json!({
            "mediaType": self.media_type,
            "digest": format!("sha256:{}", self.digest),
            "size": self.bytes,
        })
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.digest)
    }
}

/// The architecture's name in image formats.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The SHA-256 of a file in hexadecimal, by coreutils: xtask stays small.
fn digest_of_file(file: &Path) -> Result<String> {
    let output = command::captured(Command::new("sha256sum").arg("--zero").arg(file))?;
    first_word(&output)
}

/// The SHA-256 of some bytes in hexadecimal.
pub(super) fn digest_of_bytes(bytes: &[u8]) -> Result<String> {
    first_word(&command::fed(&mut Command::new("sha256sum"), bytes)?)
}

fn first_word(output: &str) -> Result<String> {
    let word = output
        .split_whitespace()
        .next()
        .context("sha256sum printed nothing")?;
    Ok(word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_sha256() -> Result<()> {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest_of_bytes(b"")?, empty);
        Ok(())
    }
}
