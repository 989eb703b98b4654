//! Tiny container images, as docker-archive tars that `skiff local load` takes.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

/// One image: a single layer and what `docker run` would take from its configuration.
pub struct Image {
    name: String,
    config: Value,
    layer: Builder<Vec<u8>>,
}

impl Image {
    /// An empty image of this name, tag included.
    pub fn new(name: &str) -> Self {
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        Self {
            name: name.to_owned(),
            config: json!({ "Env": [path] }),
            layer: Builder::new(Vec::new()),
        }
    }

    /// Sets one key of the image's run configuration, such as `User`.
    #[must_use]
    pub fn with_config(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.config[key] = value.into();
        self
    }

    /// Adds a folder.
    pub fn folder(mut self, path: &str, mode: u32, owner: u64) -> Result<Self> {
        let mut header = header(EntryType::Directory, mode, owner);
        self.layer
            .append_data(&mut header, path, std::io::empty())?;
        Ok(self)
    }

    /// Adds a file.
    pub fn file(mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<Self> {
        let mut header = header(EntryType::Regular, mode, 0);
        header.set_size(bytes.len() as u64);
        self.layer.append_data(&mut header, path, bytes)?;
        Ok(self)
    }

    /// Adds a symbolic link.
    pub fn link(mut self, path: &str, target: &str) -> Result<Self> {
        let mut header = header(EntryType::Symlink, 0o777, 0);
        self.layer.append_link(&mut header, path, target)?;
        Ok(self)
    }

    /// Writes the image as a docker-archive.
    pub fn save(self, folder: &Path) -> Result<PathBuf> {
        let layer = self.layer.into_inner()?;
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": self.config,
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer)?)] },
        })
        .to_string();
        let config_name = format!("{}.json", sha256(config.as_bytes())?);
        let manifest =
            json!([{ "Config": config_name, "RepoTags": [self.name], "Layers": ["layer.tar"] }]);
        let mut archive = Builder::new(Vec::new());
        for (name, bytes) in [
            ("layer.tar", layer.as_slice()),
            (&config_name, config.as_bytes()),
            ("manifest.json", manifest.to_string().as_bytes()),
        ] {
            let mut header = header(EntryType::Regular, 0o644, 0);
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, name, bytes)?;
        }
        let file = self.name.replace(['/', ':'], "-") + ".tar";
        let path = folder.join(file);
        std::fs::write(&path, archive.into_inner()?)?;
        Ok(path)
    }
}

fn header(kind: EntryType, mode: u32, owner: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(owner);
    header.set_gid(owner);
    header.set_size(0);
    header
}

/// The system has a tool for that, and a test needs no speed.
fn sha256(bytes: &[u8]) -> Result<String> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(bytes)?;
    let output = std::process::Command::new("sha256sum")
        .arg(file.path())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text
        .split_whitespace()
        .next()
        .context("sha256sum prints a digest")?
        .to_owned())
}
