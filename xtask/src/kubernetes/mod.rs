//! `cargo xtask kubernetes`: a Kubernetes for machines that reach only Debian's archive.
//!
//! Debian 12 carries Kubernetes v1.20.2 as a source package, the oldest version that Skiff works
//! with. Its five server programs are built once into Skiff's folder and used from there.

mod build;
mod source;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::packages::{self, Package};
use crate::project::Project;
use crate::report;
use crate::sources::Release;
use crate::{command, interrupt};

/// The version in the source package.
pub(crate) const VERSION: &str = "v1.20.2";
/// The only Debian release that has the source package.
const RELEASE: &str = "bookworm";
/// The programs that a local cluster needs.
const PROGRAMS: [&str; 5] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
];
/// What the build occupies at its peak; the result takes 400 MB.
const DISK_NEEDED_MIB: u64 = 3072;

/// What the build needs.
pub(crate) const PACKAGES: [Package; 3] = [
    Package::new(
        "golang-1.19-go",
        "/usr/lib/go-1.19/bin/go",
        "compiles Kubernetes v1.20.2",
    ),
    Package::new(
        "dpkg-dev",
        "dpkg-source",
        "unpacks Debian's source package of Kubernetes",
    ),
    Package::new(
        "xz-utils",
        "xz",
        "unpacks Debian's source package of Kubernetes",
    ),
];

#[derive(Args)]
pub(crate) struct KubernetesArgs {
    /// Build again although the programs are there.
    #[arg(long)]
    force: bool,
}

/// Builds Kubernetes unless it is there.
pub(crate) fn run(project: &Project, args: &KubernetesArgs) -> Result<()> {
    let wanted = project.kubernetes().join(VERSION).join("bin");
    let _lock = project.lock("kubernetes")?;
    if !args.force && is_complete(&wanted) {
        report::step(
            "kubernetes",
            format!("{VERSION} is in {}", wanted.display()),
        );
        return Ok(());
    }
    require_release()?;
    packages::ensure(&PACKAGES)?;
    install(project, &wanted)
}

/// Makes sure that some version of Kubernetes is there, and builds one if none is.
pub(crate) fn ensure(project: &Project) -> Result<()> {
    match installed(project) {
        Some(folder) => {
            report::step("kubernetes", format!("found in {}", folder.display()));
            Ok(())
        }
        None => run(project, &KubernetesArgs { force: false }),
    }
}

/// The folder of a complete set of programs under Skiff's home, of any version.
pub(crate) fn installed(project: &Project) -> Option<PathBuf> {
    let versions = fs::read_dir(project.kubernetes()).ok()?;
    versions
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .find(|folder| is_complete(folder))
}

/// True on the one Debian release that carries the source package.
pub(crate) fn is_buildable_here() -> bool {
    require_release().is_ok()
}

fn is_complete(folder: &Path) -> bool {
    PROGRAMS
        .iter()
        .all(|program| folder.join(program).is_file())
}

fn require_release() -> Result<()> {
    let release = Release::of_this_machine()?;
    if release.id == "debian" && release.codename == RELEASE {
        return Ok(());
    }
    bail!(
        "the source package `kubernetes` is only in Debian 12 ({RELEASE}), and this is {}; take \
         the official server programs of any version from v1.20 on and either put them into \
         ~/.skiff/kubernetes/<version>/bin or name their folder with \
         `skiff local up --bin-dir <folder>`",
        release.name
    );
}

/// Builds in a scratch folder, checks the result and renames it into place.
fn install(project: &Project, wanted: &Path) -> Result<()> {
    let scratch = project.scratch(&format!("kubernetes-{VERSION}"));
    // What an interrupted build left is of no use: it may be cut off anywhere.
    remove(&scratch)?;
    fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    require_disk(&scratch)?;
    let started = Instant::now();
    report::step(
        "kubernetes",
        format!("building {VERSION}, about 4 minutes on 2 cores"),
    );
    let built = source::fetch(&scratch, RELEASE)
        .and_then(|tree| build::programs(&tree, &scratch, &PROGRAMS, VERSION))
        .and_then(|built| put_in_place(&built, wanted));
    if built.is_ok() || interrupt::check().is_err() {
        remove(&scratch)?;
    }
    built?;
    let took = report::human(started.elapsed());
    report::step(
        "kubernetes",
        format!("{VERSION} is in {} after {took}", wanted.display()),
    );
    Ok(())
}

fn put_in_place(built: &Path, wanted: &Path) -> Result<()> {
    for program in PROGRAMS {
        let version = command::captured(Command::new(built.join(program)).arg("--version"))?;
        if version != format!("Kubernetes {VERSION}") {
            bail!("{program} was built, but it calls itself {version:?}");
        }
    }
    let folder = wanted
        .parent()
        .context("the place of the programs has no parent folder")?;
    let old = folder.join("bin.old");
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    remove(&old)?;
    if wanted.exists() {
        fs::rename(wanted, &old)
            .with_context(|| format!("cannot move {} away", wanted.display()))?;
    }
    fs::rename(built, wanted)
        .with_context(|| format!("cannot move the programs to {}", wanted.display()))?;
    remove(&old)
}

fn remove(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}

fn require_disk(folder: &Path) -> Result<()> {
    let mut df = Command::new("df");
    let output = command::captured(df.args(["-m", "--output=avail"]).arg(folder))?;
    let free = output
        .lines()
        .last()
        .and_then(|line| line.trim().parse::<u64>().ok());
    match free {
        Some(free) if free < DISK_NEEDED_MIB => bail!(
            "building Kubernetes needs {DISK_NEEDED_MIB} MiB in {}, and {free} MiB are free; \
             SKIFF_HOME names another folder",
            folder.display()
        ),
        _ => Ok(()),
    }
}
