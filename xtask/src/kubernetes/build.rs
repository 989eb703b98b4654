//! The build: one generated file, then the programs, with Go's GOPATH mode.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::source;
use crate::{command, report};

/// Debian's Go that can still build this source.
const GO: &str = "/usr/lib/go-1.19/bin/go";
/// How the tree's staged packages are called in GOPATH mode; the short names have no effect.
const VENDORED: &str = "k8s.io/kubernetes/vendor/k8s.io";
/// The marker of a package that the generated API description covers.
const MARKER: &str = "+k8s:openapi-gen=";
/// How many packages the five programs consist of, for the progress.
const PACKAGES: usize = 2100;

/// Builds the programs and returns their folder.
pub(super) fn programs(
    gopath: &Path,
    scratch: &Path,
    programs: &[&str],
    version: &str,
) -> Result<PathBuf> {
    generate_api_description(gopath, scratch)?;
    let bin = scratch.join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("cannot create {}", bin.display()))?;
    let mut build = go(gopath, scratch);
    build
        .args(["build", "-v", "-ldflags", &linker_flags(version), "-o"])
        .arg(&bin);
    build.args(programs.iter().map(|program| format!("./cmd/{program}")));

    let mut compiled = 0;
    command::logged_lines(&mut build, &scratch.join("build.log"), |_package| {
        compiled += 1;
        if compiled % 250 == 0 {
            let text = format!("compiled {compiled} of about {PACKAGES} packages");
            report::step("kubernetes", text);
        }
    })?;
    Ok(bin)
}

/// Writes `pkg/generated/openapi`, which the API server needs and the source package lacks.
fn generate_api_description(gopath: &Path, scratch: &Path) -> Result<()> {
    report::step("kubernetes", "generating the API description");
    let generator = scratch.join("openapi-gen");
    let mut build = go(gopath, scratch);
    build.args(["build", "-o"]).arg(&generator);
    build.arg(format!("{VENDORED}/kube-openapi/cmd/openapi-gen"));
    command::logged(&mut build, &scratch.join("openapi-build.log"))?;

    let tree = source::tree(gopath);
    let mut generate = Command::new(&generator);
    in_gopath(&mut generate, gopath, scratch);
    generate
        .args(["--input-dirs", &described_packages(&tree)?])
        .args([
            "--output-package",
            "k8s.io/kubernetes/pkg/generated/openapi",
        ])
        .args(["--output-file-base", "zz_generated.openapi"])
        .arg("--output-base")
        .arg(gopath.join("src"))
        .arg("--go-header-file")
        .arg(tree.join("vendor/k8s.io/code-generator/hack/boilerplate.go.txt"))
        .arg("--report-filename")
        .arg(scratch.join("openapi-violations.txt"));
    command::logged(&mut generate, &scratch.join("openapi.log"))
}

fn go(gopath: &Path, scratch: &Path) -> Command {
    let mut command = Command::new(GO);
    in_gopath(&mut command, gopath, scratch);
    command
}

/// Sets the build's environment; the user's Go settings must not leak in.
fn in_gopath(command: &mut Command, gopath: &Path, scratch: &Path) {
    let path = std::env::var("PATH").unwrap_or_default();
    let folder = GO.trim_end_matches("/go");
    command
        .current_dir(source::tree(gopath))
        .env("PATH", format!("{folder}:{path}"))
        .env("GOPATH", gopath)
        .env("GOCACHE", scratch.join("go-cache"))
        .env("GO111MODULE", "off")
        .env("GOENV", "off")
        .env("CGO_ENABLED", "0")
        .env_remove("GOROOT")
        .env_remove("GOFLAGS");
}

fn linker_flags(version: &str) -> String {
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (
        numbers.next().unwrap_or("1"),
        numbers.next().unwrap_or_default(),
    );
    let mut flags = vec!["-s".to_owned(), "-w".to_owned()];
    for package in ["component-base/version", "client-go/pkg/version"] {
        for (variable, value) in [
            ("gitVersion", version),
            ("gitMajor", major),
            ("gitMinor", minor),
            ("gitTreeState", "clean"),
        ] {
            flags.push(format!("-X {VENDORED}/{package}.{variable}={value}"));
        }
    }
    flags.join(" ")
}

/// The packages that carry the marker, comma-separated, staged ones by their vendored names.
fn described_packages(tree: &Path) -> Result<String> {
    let mut found = BTreeSet::new();
    for top in ["staging/src", "pkg", "cmd", "vendor/k8s.io/kube-openapi"] {
        collect_marked(tree, &tree.join(top), &mut found)?;
    }
    Ok(found.into_iter().collect::<Vec<_>>().join(","))
}

fn collect_marked(tree: &Path, folder: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    let reading = || format!("cannot read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let path = entry.path();
        let name = entry.file_name();
        if entry.file_type().with_context(reading)?.is_dir() {
            if name != "code-generator" && name != "sample-apiserver" && name != "test" {
                collect_marked(tree, &path, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "go")
            && fs::read_to_string(&path).is_ok_and(|text| text.contains(MARKER))
        {
            let relative = folder
                .strip_prefix(tree)
                .context("a package outside the tree")?;
            found.insert(package_name(&relative.to_string_lossy()));
        }
    }
    Ok(())
}

fn package_name(relative: &str) -> String {
    match relative.strip_prefix("staging/src/") {
        Some(staged) => format!("k8s.io/kubernetes/vendor/{staged}"),
        None => format!("k8s.io/kubernetes/{relative}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staged_packages_get_their_vendored_name() {
        let staged = package_name("staging/src/k8s.io/api/core/v1");
        assert_eq!(staged, "k8s.io/kubernetes/vendor/k8s.io/api/core/v1");
        assert_eq!(
            package_name("pkg/apis/batch"),
            "k8s.io/kubernetes/pkg/apis/batch"
        );
    }

    #[test]
    fn linker_flags_set_the_version_under_the_vendored_name() {
        let flags = linker_flags("v1.20.2");
        assert!(flags.contains(
            "-X k8s.io/kubernetes/vendor/k8s.io/component-base/version.gitVersion=v1.20.2"
        ));
        assert!(flags.contains("version.gitMinor=20"));
    }
}
