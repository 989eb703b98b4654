//! The file system of an image, as a tar file that becomes its one layer.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::recipe::{Content, PAUSE_SOURCE, Recipe};
use crate::command;
use crate::sources::{self, Release};

/// The suite that the images are made of where it can be reached and its key is known.
const CURRENT: &str = "trixie";
/// The key of that suite.
const CURRENT_KEY: &str = "/usr/share/keyrings/debian-archive-trixie-stable.gpg";
/// Debian's archive, for machines that are not set up for one.
const ARCHIVE: &str = "http://deb.debian.org/debian";
/// apt's own download tool, which obeys the proxy settings of the machine.
const DOWNLOADER: &str = "/usr/lib/apt/apt-helper";
/// What a container never reads.
const STRIPPED: [&str; 4] = ["doc", "info", "locale", "man"];

/// A Debian suite and where it comes from.
pub(super) struct Suite {
    pub(super) name: String,
    mirror: String,
}

impl Suite {
    /// The newest suite that this machine can reach.
    pub(super) fn choose(scratch: &Path) -> Result<Self> {
        let release = Release::of_this_machine()?;
        if release.id != "debian" {
            return Ok(Self {
                name: CURRENT.to_owned(),
                mirror: ARCHIVE.to_owned(),
            });
        }
        let mirror = sources::archives(&release.codename)?.swap_remove(0).uri;
        let index = format!("{mirror}/dists/{CURRENT}/InRelease");
        let mut probe = Command::new(DOWNLOADER);
        probe
            .args(["download-file", &index])
            .arg(scratch.join("InRelease"));
        let reached = Path::new(CURRENT_KEY).exists() && command::captured(&mut probe).is_ok();
        let name = if reached {
            CURRENT.to_owned()
        } else {
            release.codename
        };
        Ok(Self { name, mirror })
    }

    /// True for Debian 13 and later, whose Docker comes in more packages.
    pub(super) fn is_current(&self) -> bool {
        self.name != "bookworm"
    }
}

/// Installs the recipe's packages into a new file system; returns their names and versions.
pub(super) fn from_packages(
    recipe: &Recipe,
    suite: &Suite,
    scratch: &Path,
    layer: &Path,
) -> Result<Value> {
    let Content::Packages {
        variant,
        names,
        unwanted,
    } = &recipe.content
    else {
        return Ok(json!({}));
    };
    let mut build = command::as_root("mmdebstrap");
    build
        .args(["--mode=root", "--format=tar", "--skip=output/dev"])
        .arg(format!("--variant={variant}"))
        .arg(format!("--include={}", names.join(",")))
        .arg("--aptopt=APT::Install-Recommends \"false\"")
        .args(STRIPPED.map(|folder| format!("--dpkgopt=path-exclude=/usr/share/{folder}/*")))
        .arg(format!(
            "--customize-hook=cd \"$1\" && rm -f {}",
            unwanted.join(" ")
        ))
        .arg(&suite.name)
        .arg(layer)
        .arg(&suite.mirror);
    command::logged(&mut build, &scratch.join("mmdebstrap.log"))?;
    installed(layer)
}

/// Compiles the pause program into a layer of its own.
pub(super) fn pause(scratch: &Path, layer: &Path) -> Result<Value> {
    let source = scratch.join("pause.c");
    fs::write(&source, PAUSE_SOURCE).context("cannot write the pause program")?;
    let mut compile = Command::new("gcc");
    compile
        .args(["-static", "-Os", "-s", "-Wall", "-o"])
        .arg(scratch.join("pause"))
        .arg(&source);
    command::logged(&mut compile, &scratch.join("gcc.log"))?;
    let mut pack = Command::new("tar");
    pack.args(["--owner=0", "--group=0", "--numeric-owner", "-C"])
        .arg(scratch);
    pack.arg("-cf").arg(layer).arg("pause");
    command::logged(&mut pack, &scratch.join("tar.log"))?;
    Ok(json!({}))
}

/// The packages in a layer, by dpkg's own record.
fn installed(layer: &Path) -> Result<Value> {
    let mut read = Command::new("tar");
    read.arg("-xOf").arg(layer).arg("./var/lib/dpkg/status");
    Ok(Value::Object(versions(&command::captured(&mut read)?)))
}

fn versions(status: &str) -> Map<String, Value> {
    let mut found = Map::new();
    for paragraph in status.split("\n\n") {
        let field = |key: &str| paragraph.lines().find_map(|line| line.strip_prefix(key));
        if let (Some(name), Some(version)) = (field("Package: "), field("Version: ")) {
            found.insert(name.to_owned(), json!(version));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_from_dpkgs_record() {
        let status = "Package: bash\nStatus: install ok installed\nVersion: 5.2.37-2\n\n\
            Package: git\nVersion: 1:2.47.3-0\nDescription: scm\n";
        let found = versions(status);
        assert_eq!(found["bash"], "5.2.37-2");
        assert_eq!(found["git"], "1:2.47.3-0");
    }
}
