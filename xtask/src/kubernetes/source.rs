//! The source tree: fetched by apt from an own list of archives, so that `/etc` stays as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::sources;
use crate::{command, report};

/// Fetches and unpacks the source package; returns the GOPATH that holds the tree.
pub(super) fn fetch(scratch: &Path, release: &str) -> Result<PathBuf> {
    let apt = Apt::prepare(scratch, release)?;
    report::step("kubernetes", "reading the index of source packages");
    command::logged(apt.command().arg("update"), &scratch.join("apt-update.log"))?;
    report::step("kubernetes", "fetching the source package, 35 MB");
    let mut source = apt.command();
    source
        .args(["source", "--download-only", "kubernetes"])
        .current_dir(scratch);
    command::logged(&mut source, &scratch.join("apt-source.log"))?;

    report::step("kubernetes", "unpacking");
    let gopath = scratch.join("go");
    let tree = tree(&gopath);
    let parent = tree
        .parent()
        .context("the source tree has no parent folder")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    let mut unpack = Command::new("dpkg-source");
    // apt has checked the hashes against the signed index; the maintainer's key is not needed.
    unpack
        .args(["--no-check", "--extract"])
        .arg(description_file(scratch)?)
        .arg(&tree);
    command::logged(&mut unpack, &scratch.join("dpkg-source.log"))?;
    Ok(gopath)
}

/// Where the source lies in a GOPATH: modules are of no use, its go.mod is refused.
pub(super) fn tree(gopath: &Path) -> PathBuf {
    gopath.join("src/k8s.io/kubernetes")
}

/// An apt with an own list of archives, own indexes and own cache.
struct Apt {
    options: Vec<String>,
}

impl Apt {
    fn prepare(scratch: &Path, release: &str) -> Result<Self> {
        let parts = scratch.join("apt/sources");
        let lists = scratch.join("apt/lists");
        let cache = scratch.join("apt/cache");
        for folder in [
            &parts,
            &lists.join("partial"),
            &cache.join("archives/partial"),
        ] {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        for (number, archive) in sources::archives(release)?.iter().enumerate() {
            fs::write(
                parts.join(format!("{number}.sources")),
                archive.as_source_entry(release),
            )
            .context("cannot write the list of archives")?;
        }
        let options = [
            "Dir::Etc::SourceList=/dev/null".to_owned(),
            format!("Dir::Etc::SourceParts={}", parts.display()),
            format!("Dir::State::Lists={}", lists.display()),
            format!("Dir::Cache={}", cache.display()),
            // The scratch folder lies in the home folder, which apt's own user cannot enter.
            "APT::Sandbox::User=".to_owned(),
        ];
        Ok(Self {
            options: options.into_iter().collect(),
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new("apt-get");
        command.arg("-q");
        for option in &self.options {
            command.args(["-o", option]);
        }
        command
    }
}

fn description_file(folder: &Path) -> Result<PathBuf> {
    for entry in fs::read_dir(folder).context("cannot list the fetched files")? {
        let path = entry.context("cannot list the fetched files")?.path();
        if path.extension().is_some_and(|extension| extension == "dsc") {
            return Ok(path);
        }
    }
    bail!("apt fetched no .dsc file of the source package `kubernetes`");
}
