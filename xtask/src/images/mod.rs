//! `cargo xtask images`: the container images of clusters that reach no registry, from Debian's
//! packages and without Docker.
//!
//! An image is built again when its recipe changes; beside each archive lies what it contains.

mod archive;
mod recipe;
mod rootfs;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};

use crate::packages::{self, Package};
use crate::parallel;
use crate::project::{Project, VERSION};
use crate::report;

use self::recipe::{Content, Recipe};
use self::rootfs::Suite;

/// What building the images needs.
pub(crate) const PACKAGES: [Package; 4] = [
    Package::new(
        "mmdebstrap",
        "mmdebstrap",
        "builds the images' file systems from packages",
    ),
    Package::new("zstd", "zstd", "compresses the images' layers"),
    Package::new("gcc", "gcc", "compiles the pause image's program"),
    Package::new(
        "libc6-dev",
        "/usr/include/stdio.h",
        "compiles the pause image's program",
    ),
];

#[derive(Args)]
pub(crate) struct ImagesArgs {
    /// Build again although the images are there.
    #[arg(long)]
    force: bool,
}

/// Builds the images that are not there or whose recipe has changed.
pub(crate) fn run(project: &Project, args: &ImagesArgs) -> Result<()> {
    let folder = project.images();
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let _lock = project.lock("images")?;
    let wanted = if args.force {
        recipe::NAMES.to_vec()
    } else {
        outdated(project)?
    };
    if wanted.is_empty() {
        report::step("images", format!("all are in {}", folder.display()));
        return Ok(());
    }
    packages::ensure(&PACKAGES)?;
    let steps: Vec<parallel::Step> = wanted
        .into_iter()
        .map(|name| -> parallel::Step { (name, Box::new(move || one(project, name))) })
        .collect();
    parallel::run(steps).map(drop)
}

/// The images that are not there as their recipe has them now.
pub(crate) fn outdated(project: &Project) -> Result<Vec<&'static str>> {
    let mut found = Vec::new();
    for name in recipe::NAMES {
        if Place::of(project, name).recorded_recipe() != Some(recipe::fingerprint(name)?) {
            found.push(name);
        }
    }
    Ok(found)
}

/// Makes sure that the images are there.
pub(crate) fn ensure(project: &Project) -> Result<()> {
    run(project, &ImagesArgs { force: false })
}

fn one(project: &Project, name: &'static str) -> Result<()> {
    let place = Place::of(project, name);
    let started = Instant::now();
    let scratch = project.scratch(&format!("image-{name}"));
    clear(&scratch)?;
    fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    let built = build(name, &scratch, &place);
    clear(&scratch)?;
    let bytes = built?;
    let (size, took) = (report::size(bytes), report::human(started.elapsed()));
    let text = format!(
        "{name} is in {}, {size}, after {took}",
        place.archive.display()
    );
    report::step("images", text);
    Ok(())
}

fn build(name: &'static str, scratch: &Path, place: &Place) -> Result<u64> {
    let layer = scratch.join("layer.tar");
    let (recipe, suite) = if name == "pause" {
        (Recipe::of(name, false), None)
    } else {
        let suite = Suite::choose(scratch)?;
        (Recipe::of(name, suite.is_current()), Some(suite))
    };
    let packages = match (&recipe.content, &suite) {
        (Content::Packages { .. }, Some(suite)) => {
            report::step(
                name,
                format!("building from Debian {}, about 40 s", suite.name),
            );
            rootfs::from_packages(&recipe, suite, scratch, &layer)?
        }
        _ => rootfs::pause(scratch, &layer)?,
    };
    let tag = format!("docker.io/skiff/{name}:{VERSION}");
    let made = archive::write(&layer, &recipe, &tag, scratch)?;
    let bytes = fs::metadata(&made)
        .context("cannot read the size of the image")?
        .len();
    let manifest = json!({
        "image": tag,
        "recipe": recipe::fingerprint(name)?,
        "suite": suite.map(|suite| suite.name),
        "bytes": bytes,
        "packages": packages,
    });
    place.put(&made, &manifest)?;
    Ok(bytes)
}

/// The two files of one image.
struct Place {
    archive: PathBuf,
    manifest: PathBuf,
}

impl Place {
    fn of(project: &Project, name: &str) -> Self {
        let file = |extension: &str| {
            project
                .images()
                .join(format!("{name}-{VERSION}.{extension}"))
        };
        Self {
            archive: file("tar"),
            manifest: file("json"),
        }
    }

    /// The recipe that the archive was built by, if both files are whole.
    fn recorded_recipe(&self) -> Option<String> {
        let manifest: Value = serde_json::from_slice(&fs::read(&self.manifest).ok()?).ok()?;
        let archive = fs::metadata(&self.archive).ok()?;
        let whole = manifest["bytes"].as_u64() == Some(archive.len());
        whole.then(|| manifest["recipe"].as_str().map(str::to_owned))?
    }

    /// Moves the archive into place; the manifest comes last and so vouches for it.
    fn put(&self, archive: &Path, manifest: &Value) -> Result<()> {
        let moving = || format!("cannot move the image to {}", self.archive.display());
        fs::rename(archive, &self.archive).with_context(moving)?;
        let text = format!("{manifest:#}\n");
        fs::write(&self.manifest, text)
            .with_context(|| format!("cannot write {}", self.manifest.display()))
    }
}

fn clear(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}
