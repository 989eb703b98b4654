//! What the library takes from the machine and the user: folders, search path, rights.
//!
//! Read once at the start of a command; nothing else here looks at the environment.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

use crate::{Layout, name::ClusterName};

/// Folders that hold administrators' tools and are often missing from a user's `PATH`.
const SYSTEM_FOLDERS: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// The machine as one user sees it.
#[derive(Clone, Debug)]
pub struct Machine {
    skiff_home: PathBuf,
    kubeconfig: PathBuf,
    search_path: Vec<PathBuf>,
    executable: PathBuf,
}

impl Machine {
    /// Reads `SKIFF_HOME`, `KUBECONFIG`, `HOME` and `PATH` through `lookup`.
    pub fn from_env(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let home = set("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from);
        let skiff_home = set("SKIFF_HOME").map_or_else(|| home.join(".skiff"), PathBuf::from);
        let kubeconfig = set("KUBECONFIG")
            .and_then(|value| {
                std::env::split_paths(&value).find(|path| !path.as_os_str().is_empty())
            })
            .unwrap_or_else(|| home.join(".kube").join("config"));
        let mut search_path: Vec<PathBuf> = set("PATH")
            .map(|value| std::env::split_paths(&value).collect())
            .unwrap_or_default();
        for folder in SYSTEM_FOLDERS.map(PathBuf::from) {
            if !search_path.contains(&folder) {
                search_path.push(folder);
            }
        }
        Self {
            skiff_home: std::path::absolute(&skiff_home).unwrap_or(skiff_home),
            kubeconfig: std::path::absolute(&kubeconfig).unwrap_or(kubeconfig),
            search_path,
            executable: std::env::current_exe().unwrap_or_else(|_| "skiff".into()),
        }
    }

    /// This executable, which also becomes a cluster's controller.
    pub(crate) fn executable(&self) -> &Path {
        &self.executable
    }

    /// Where Skiff keeps what it made: `~/.skiff`.
    pub fn skiff_home(&self) -> &Path {
        &self.skiff_home
    }

    /// The kubeconfig that contexts are written to.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Where image tars lie that every cluster loads: `~/.skiff/images`.
    pub fn images(&self) -> PathBuf {
        self.skiff_home.join("images")
    }

    /// The folder of all local clusters.
    pub(crate) fn clusters(&self) -> PathBuf {
        self.skiff_home.join("local")
    }

    /// Where one cluster's files lie.
    pub fn layout(&self, name: &ClusterName) -> Layout {
        Layout::new(&self.clusters(), name)
    }

    /// Names of the clusters that have a folder, sorted.
    pub fn cluster_names(&self) -> Vec<ClusterName> {
        let mut names: Vec<ClusterName> = fs::read_dir(self.clusters())
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        names.sort();
        names
    }

    /// The folders that executables are looked for in, the user's first.
    pub(crate) fn search_path(&self) -> &[PathBuf] {
        &self.search_path
    }

    /// A `PATH` for child processes, with `first` before everything else.
    pub(crate) fn child_path(&self, first: &[&Path]) -> OsString {
        let folders = first
            .iter()
            .copied()
            .chain(self.search_path.iter().map(PathBuf::as_path));
        std::env::join_paths(folders.filter(|f| !f.as_os_str().as_encoded_bytes().contains(&b':')))
            .unwrap_or_else(|_| OsStr::new("/usr/sbin:/usr/bin:/sbin:/bin").to_owned())
    }
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether the text of `/proc/self/status` shows `CAP_SYS_RESOURCE` as effective.
///
/// Without it runc cannot lower a process's `oom_score_adj` and no sandbox starts.
pub(crate) fn may_lower_oom_score(status: &str) -> bool {
    const CAP_SYS_RESOURCE: u32 = 24;
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & (1 << CAP_SYS_RESOURCE) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(pairs: &[(&str, &str)]) -> Machine {
        Machine::from_env(|name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.into())
        })
    }

    #[test]
    fn folders_follow_the_home() {
        let machine = machine(&[("HOME", "/h")]);
        assert_eq!(machine.skiff_home(), Path::new("/h/.skiff"));
        assert_eq!(machine.kubeconfig(), Path::new("/h/.kube/config"));
    }

    #[test]
    fn the_first_named_kubeconfig_counts() {
        let machine = machine(&[
            ("HOME", "/h"),
            ("KUBECONFIG", ":/a:/b"),
            ("SKIFF_HOME", "/s"),
        ]);
        assert_eq!(machine.kubeconfig(), Path::new("/a"));
        assert_eq!(machine.skiff_home(), Path::new("/s"));
    }

    #[test]
    fn administrators_folders_are_always_searched() {
        let machine = machine(&[("PATH", "/usr/bin:/x")]);
        assert_eq!(
            machine.search_path()[..2],
            [PathBuf::from("/usr/bin"), PathBuf::from("/x")]
        );
        assert!(machine.search_path().contains(&PathBuf::from("/usr/sbin")));
        assert_eq!(
            machine
                .search_path()
                .iter()
                .filter(|p| **p == *"/usr/bin")
                .count(),
            1
        );
    }

    #[test]
    fn the_capability_is_read_from_the_mask() {
        assert!(may_lower_oom_score("Name:\tx\nCapEff:\t000001ffffffffff\n"));
        assert!(!may_lower_oom_score("CapEff:\t000001fffeffffff\n"));
        assert!(!may_lower_oom_score(""));
    }
}
