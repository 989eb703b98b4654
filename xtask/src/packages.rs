//! Debian packages that a task needs: found missing by what they bring, named with the reason,
//! and installed by apt. Nothing is configured, and no service is left running.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::command;
use crate::report;

/// Where Debian puts programs that may not be on a user's `PATH`.
const PROGRAM_FOLDERS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// A Debian package and how its absence shows.
#[derive(Clone, Copy)]
pub(crate) struct Package {
    /// The package's name.
    pub(crate) name: &'static str,
    /// A program that it brings, or the path of a file.
    pub(crate) brings: &'static str,
    /// What Skiff needs it for.
    pub(crate) why: &'static str,
    /// A service that its installation would start.
    pub(crate) service: Option<&'static str>,
}

impl Package {
    /// A package that starts no service.
    pub(crate) const fn new(name: &'static str, brings: &'static str, why: &'static str) -> Self {
        Self {
            name,
            brings,
            why,
            service: None,
        }
    }

    /// The same package, which starts a service when it is installed.
    pub(crate) const fn with_service(mut self, service: &'static str) -> Self {
        self.service = Some(service);
        self
    }

    fn is_there(&self) -> bool {
        if self.brings.starts_with('/') {
            return Path::new(self.brings).exists();
        }
        find_program(self.brings)
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<28} {}", self.name, self.why)
    }
}

/// Installs those of the packages that are missing; says which, why and roughly how long.
pub(crate) fn ensure(wanted: &[Package]) -> Result<()> {
    let missing: Vec<Package> = wanted
        .iter()
        .copied()
        .filter(|one| !one.is_there())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    if !find_program("apt-get") {
        bail!(
            "these are missing, and there is no apt-get to install them: {}",
            names.join(" ")
        );
    }
    let seconds = 15 + 3 * missing.len();
    report::step(
        "packages",
        format!("installing with apt-get, about {seconds} s:"),
    );
    for package in &missing {
        report::line(format!("           {package}"));
    }
    let started = Instant::now();
    let log = std::env::temp_dir().join(format!("skiff-apt-{}.log", std::process::id()));
    command::logged(apt().arg("update"), &log)?;
    command::logged(
        apt()
            .args(["install", "-y", "--no-install-recommends"])
            .args(&names),
        &log,
    )?;
    stop_services(&missing);
    std::fs::remove_file(&log)?;
    report::step(
        "packages",
        format!("installed in {}", report::human(started.elapsed())),
    );
    Ok(())
}

fn apt() -> Command {
    let mut command = command::as_root("env");
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]);
    command
}

/// Stops what the new packages started: Skiff runs its own, in namespaces of their own.
fn stop_services(installed: &[Package]) {
    if !Path::new("/run/systemd/system").exists() {
        return;
    }
    for service in installed.iter().filter_map(|package| package.service) {
        let mut stop = command::as_root("systemctl");
        if command::captured(stop.args(["disable", "--now", service])).is_ok() {
            report::step(
                "packages",
                format!("stopped and disabled the new service {service}"),
            );
        }
    }
}

fn find_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(PROGRAM_FOLDERS.iter().map(Into::into))
        .any(|folder| folder.join(name).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_and_an_unknown_one_is_not() {
        assert!(find_program("sh"));
        assert!(!find_program("no-such-program-anywhere"));
    }

    #[test]
    fn a_package_that_brings_a_file_is_there_with_the_file() {
        assert!(Package::new("base-files", "/etc/os-release", "").is_there());
        assert!(!Package::new("none", "/no/such/file", "").is_there());
    }
}
