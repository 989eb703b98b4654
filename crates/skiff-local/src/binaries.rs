//! Finding the executables that make up a cluster.
//!
//! Looks, never runs. What is missing is reported all at once with what brings it.

use std::{
    collections::BTreeMap,
    fmt, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::{controller, machine::Machine, version::Version};

/// The parts of Kubernetes. All come from one folder where one has them all.
const KUBERNETES: [&str; 5] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
];

/// Everything else, with the Debian package that brings it.
const TOOLS: [(&str, &str); 12] = [
    ("etcd", "etcd-server"),
    ("containerd", "containerd"),
    ("containerd-shim-runc-v2", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("conntrack", "conntrack"),
    ("iptables", "iptables"),
    ("ip", "iproute2"),
    ("mount", "mount"),
    ("nsenter", "util-linux"),
    ("setsid", "util-linux"),
    ("unshare", "util-linux"),
];

/// The network plugins that the nodes use, and their package.
const PLUGINS: [&str; 4] = ["bridge", "host-local", "loopback", "portmap"];
const PLUGINS_PACKAGE: &str = "containernetworking-plugins";
const PLUGIN_FOLDERS: [&str; 3] = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];

/// Executables of a cluster, found.
#[derive(Clone, Debug)]
pub(crate) struct Binaries {
    found: BTreeMap<&'static str, PathBuf>,
    plugins: PathBuf,
}

/// Executables are missing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("executables are missing: {}", names(.kubernetes, .packages))]
pub struct MissingBinaries {
    /// Parts of Kubernetes that are nowhere.
    pub kubernetes: Vec<&'static str>,
    /// Other executables that are nowhere, by the Debian package that brings them.
    pub packages: BTreeMap<&'static str, Vec<&'static str>>,
}

fn names(kubernetes: &[&str], packages: &BTreeMap<&str, Vec<&str>>) -> String {
    let tools = packages.values().flatten();
    kubernetes
        .iter()
        .chain(tools)
        .copied()
        .collect::<Vec<_>>()
        .join(", ")
}

impl MissingBinaries {
    /// The commands that bring what is missing.
    pub fn remedy(&self) -> impl fmt::Display {
        let mut remedies = Vec::new();
        if !self.packages.is_empty() {
            let packages: Vec<&str> = self.packages.keys().copied().collect();
            remedies.push(format!(
                "`apt-get install --no-install-recommends {}`",
                packages.join(" ")
            ));
        }
        if !self.kubernetes.is_empty() {
            remedies.push(
                "`make kubernetes` in Skiff's source tree (or name a folder with the official \
                 release's binaries by --bin-dir)"
                    .to_owned(),
            );
        }
        remedies.join(" and ")
    }
}

impl Binaries {
    /// Looks in `first` (in that order), then in the newest version that Skiff built, then in `PATH`.
    pub(crate) fn find(machine: &Machine, first: &[&Path]) -> Result<Self, MissingBinaries> {
        let mut folders: Vec<PathBuf> = first.iter().map(|path| (*path).to_owned()).collect();
        folders.extend(built_versions(&machine.skiff_home().join("kubernetes")));
        let everywhere: Vec<PathBuf> = folders
            .iter()
            .chain(machine.search_path())
            .cloned()
            .collect();

        let whole = everywhere
            .iter()
            .find(|folder| KUBERNETES.iter().all(|n| has(folder, n)));
        let mut kubernetes_folders: Vec<PathBuf> = whole.into_iter().cloned().collect();
        kubernetes_folders.extend(everywhere.iter().cloned());

        let mut tool_folders: Vec<PathBuf> = first.iter().map(|path| (*path).to_owned()).collect();
        tool_folders.extend(machine.search_path().iter().cloned());

        let mut found = BTreeMap::from([(controller::NAME, machine.executable().to_owned())]);
        let mut missing = MissingBinaries {
            kubernetes: Vec::new(),
            packages: BTreeMap::new(),
        };
        for name in KUBERNETES {
            match lookup(&kubernetes_folders, name) {
                Some(path) => drop(found.insert(name, path)),
                None => missing.kubernetes.push(name),
            }
        }
        for (name, package) in TOOLS {
            match lookup(&tool_folders, name) {
                Some(path) => drop(found.insert(name, path)),
                None => missing.packages.entry(package).or_default().push(name),
            }
        }
        let plugins = plugin_folder(first);
        match plugins {
            Some(plugins) if missing.is_empty() => Ok(Self { found, plugins }),
            Some(_) => Err(missing),
            None => {
                missing.packages.insert(PLUGINS_PACKAGE, PLUGINS.to_vec());
                Err(missing)
            }
        }
    }

    /// Looks for one tool alone.
    pub(crate) fn find_tool(
        machine: &Machine,
        name: &'static str,
    ) -> Result<PathBuf, MissingBinaries> {
        lookup(machine.search_path(), name).ok_or_else(|| {
            let package = TOOLS
                .iter()
                .find(|(tool, _)| *tool == name)
                .map_or(name, |(_, p)| p);
            let packages = BTreeMap::from([(package, vec![name])]);
            MissingBinaries {
                kubernetes: Vec::new(),
                packages,
            }
        })
    }

    /// Where an executable is.
    pub(crate) fn path(&self, name: &str) -> &Path {
        self.found
            .get(name)
            .expect("every name in use is one of those that were looked for")
    }

    /// The folder of the network plugins.
    pub(crate) fn plugins(&self) -> &Path {
        &self.plugins
    }

    /// The folder that Kubernetes came from.
    pub(crate) fn kubernetes_folder(&self) -> &Path {
        self.path("kube-apiserver")
            .parent()
            .unwrap_or(Path::new("/"))
    }
}

impl MissingBinaries {
    fn is_empty(&self) -> bool {
        self.kubernetes.is_empty() && self.packages.is_empty()
    }
}

/// The `bin` folders of all built versions, the newest first.
fn built_versions(folder: &Path) -> Vec<PathBuf> {
    let mut versions: Vec<(Version, PathBuf)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            Some((
                Version::find(entry.file_name().to_str()?)?,
                entry.path().join("bin"),
            ))
        })
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, path)| path).collect()
}

fn plugin_folder(first: &[&Path]) -> Option<PathBuf> {
    let folders = first
        .iter()
        .copied()
        .chain(PLUGIN_FOLDERS.iter().map(Path::new));
    let mut complete = folders.filter(|folder| PLUGINS.iter().all(|name| has(folder, name)));
    complete.next().map(Path::to_owned)
}

fn lookup(folders: &[PathBuf], name: &str) -> Option<PathBuf> {
    folders
        .iter()
        .find(|folder| has(folder, name))
        .map(|folder| folder.join(name))
}

fn has(folder: &Path, name: &str) -> bool {
    fs::metadata(folder.join(name))
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executable(folder: &Path, name: &str) {
        fs::create_dir_all(folder).unwrap();
        let path = folder.join(name);
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn machine(home: &Path) -> Machine {
        Machine::from_env(|name| match name {
            "SKIFF_HOME" | "PATH" => Some(home.join(name).into()),
            _ => None,
        })
    }

    #[test]
    fn the_named_folder_comes_first_then_the_newest_build() {
        let home = tempfile::tempdir().unwrap();
        let builds = home.path().join("SKIFF_HOME/kubernetes");
        let named = home.path().join("named");
        for name in KUBERNETES {
            for folder in ["v1.9.0/bin", "v1.20.2/bin", "v1.20.10/bin"] {
                executable(&builds.join(folder), name);
            }
            executable(&named, name);
        }
        for (name, _) in TOOLS {
            executable(&named, name);
        }
        for name in PLUGINS {
            executable(&named, name);
        }
        let machine = machine(home.path());
        let found = Binaries::find(&machine, &[&named]).unwrap();
        assert_eq!(found.kubernetes_folder(), named);
        assert_eq!(found.plugins(), named);
        assert_eq!(built_versions(&builds)[0], builds.join("v1.20.10/bin"));
    }

    #[test]
    fn a_folder_with_all_parts_beats_an_earlier_one_with_some() {
        let home = tempfile::tempdir().unwrap();
        let build = home.path().join("SKIFF_HOME/kubernetes/v1.20.2/bin");
        let named = home.path().join("named");
        executable(&named, "kubelet");
        for name in KUBERNETES {
            executable(&build, name);
        }
        for (name, _) in TOOLS {
            executable(&named, name);
        }
        for name in PLUGINS {
            executable(&named, name);
        }
        let found = Binaries::find(&machine(home.path()), &[&named]).unwrap();
        assert_eq!(found.path("kubelet"), build.join("kubelet"));
    }

    #[test]
    fn everything_missing_is_named_at_once_with_its_remedy() {
        let missing = MissingBinaries {
            kubernetes: vec!["kubelet", "kube-proxy"],
            packages: BTreeMap::from([("etcd-server", vec!["etcd"]), ("runc", vec!["runc"])]),
        };
        assert_eq!(
            missing.to_string(),
            "executables are missing: kubelet, kube-proxy, etcd, runc"
        );
        let remedy = missing.remedy().to_string();
        assert!(remedy.contains("apt-get install --no-install-recommends etcd-server runc"));
        assert!(remedy.contains("make kubernetes"));
    }
}
