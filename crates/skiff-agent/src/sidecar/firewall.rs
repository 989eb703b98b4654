//! Which flavour of iptables works here: the image's and the node's kernel decide it together, so it is
//! tried, not guessed.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use thiserror::Error;

use super::daemon::find_program;

/// Where upstream's image keeps the legacy flavour under the usual names.
const UPSTREAM_LEGACY: &str = "/usr/local/sbin/.iptables-legacy";
/// Where links to Debian's legacy flavour are made under the usual names.
const OWN_LEGACY: &str = "/run/skiff-iptables-legacy";
const TOOLS: [&str; 6] = [
    "iptables",
    "iptables-save",
    "iptables-restore",
    "ip6tables",
    "ip6tables-save",
    "ip6tables-restore",
];

/// The flavour that works.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Firewall {
    /// What the image calls `iptables`.
    Default,
    /// The legacy one, whose programs are in this folder under the usual names.
    Legacy(PathBuf),
}

/// Containers could have no network.
#[derive(Debug, Error)]
pub(crate) enum FirewallError {
    /// The image lacks the program.
    #[error("no iptables on the image's PATH")]
    Missing,
    /// No flavour works.
    #[error("no flavour of iptables works on this node (the default one says: {0})")]
    Unusable(String),
    /// The legacy flavour could not be put under the usual names.
    #[error("cannot prepare the legacy iptables")]
    Prepare(#[source] io::Error),
}

impl Firewall {
    /// Its name in the report.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Legacy(_) => "legacy",
        }
    }

    /// The search path on which the daemon finds this flavour first.
    pub(super) fn search_path(&self, path: &OsStr) -> OsString {
        match self {
            Self::Default => path.to_owned(),
            Self::Legacy(dir) => {
                let mut with_legacy = dir.clone().into_os_string();
                with_legacy.push(":");
                with_legacy.push(path);
                with_legacy
            }
        }
    }
}

/// Tries the default flavour, then the legacy one; the other way round with `DOCKER_IPTABLES_LEGACY`,
/// which upstream's image knows.
pub(super) fn choose() -> Result<Firewall, FirewallError> {
    let default = find_program("iptables");
    let wants_legacy =
        std::env::var_os("DOCKER_IPTABLES_LEGACY").is_some_and(|set| !set.is_empty());
    let refused = match &default {
        Some(program) if !wants_legacy => match lists(program) {
            Ok(()) => return Ok(Firewall::Default),
            Err(why) => Some(why),
        },
        _ => None,
    };
    if let Some(dir) = legacy().map_err(FirewallError::Prepare)?
        && lists(&dir.join("iptables")).is_ok()
    {
        return Ok(Firewall::Legacy(dir));
    }
    match (default, refused) {
        (Some(program), None) if lists(&program).is_ok() => Ok(Firewall::Default),
        (Some(_), refused) => Err(FirewallError::Unusable(refused.unwrap_or_default())),
        (None, _) => Err(FirewallError::Missing),
    }
}

/// The folder that has the legacy flavour under the usual names, if the image has it.
fn legacy() -> io::Result<Option<PathBuf>> {
    let upstream = Path::new(UPSTREAM_LEGACY);
    if upstream.join("iptables").is_file() {
        return Ok(Some(upstream.to_owned()));
    }
    if find_program("iptables-legacy").is_none() {
        return Ok(None);
    }
    fs::create_dir_all(OWN_LEGACY)?;
    for tool in TOOLS {
        let (family, rest) = tool.split_at(tool.find("tables").unwrap_or(0) + "tables".len());
        let Some(target) = find_program(&format!("{family}-legacy{rest}")) else {
            continue;
        };
        match symlink(target, Path::new(OWN_LEGACY).join(tool)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(Some(OWN_LEGACY.into()))
}

/// Whether the flavour can list both tables that the daemon fills; else the first line of why not.
fn lists(program: &Path) -> Result<(), String> {
    for table in ["filter", "nat"] {
        let output = Command::new(program)
            .args(["--wait", "-t", table, "-nL"])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(text.lines().next().unwrap_or("nothing").trim().to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Firewall;

    #[test]
    fn the_legacy_flavour_comes_first_on_the_search_path() {
        let path = "/usr/sbin:/sbin".as_ref();
        assert_eq!(Firewall::Default.search_path(path), "/usr/sbin:/sbin");
        assert_eq!(
            Firewall::Legacy("/l".into()).search_path(path),
            "/l:/usr/sbin:/sbin"
        );
    }
}
