//! Where things lie: the pod contract's paths under one root, which tests move elsewhere.

use std::path::{Path, PathBuf};

use skiff_proto::{JobId, paths};

/// The paths under the pod's shared folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Default for Layout {
    fn default() -> Self {
        Self::new(PathBuf::from(paths::ROOT))
    }
}

impl Layout {
    /// The layout with this folder in the place of `/skiff`.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The shared folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// One of the contract's paths (`skiff_proto::paths`) below this root.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        let below = path.strip_prefix(paths::ROOT).unwrap_or(path);
        self.root.join(below.trim_start_matches('/'))
    }

    /// The folder of what the agent runs with: its socket and the shell's start file.
    pub(crate) fn run_dir(&self) -> PathBuf {
        self.root.join("run")
    }

    /// The start file that interactive shells of jobs read first.
    pub(crate) fn shell_start(&self) -> PathBuf {
        self.run_dir().join("bashrc")
    }

    /// The folder of one job's record and scripts.
    pub(crate) fn job_dir(&self, id: JobId) -> PathBuf {
        self.at(paths::JOBS).join(id.to_string())
    }

    /// The addresses of the cluster's nodes, at the head.
    pub(crate) fn nodes(&self) -> PathBuf {
        self.root.join("nodes.json")
    }

    /// The folder of the scripts of a job's stages while they run on this node.
    pub(crate) fn stage_dir(&self, id: JobId) -> PathBuf {
        self.root.join("stages").join(id.to_string())
    }

    /// One job's log folder, by its name within the logs folder.
    pub(crate) fn log_dir(&self, name: &str) -> PathBuf {
        self.at(paths::LOGS).join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::Layout;
    use skiff_proto::paths;

    #[test]
    fn the_default_layout_is_the_contract() {
        let layout = Layout::default();
        assert_eq!(
            layout.at(paths::AGENT_SOCKET).to_str(),
            Some(paths::AGENT_SOCKET)
        );
        assert_eq!(layout.job_dir(3).to_str(), Some("/skiff/jobs/3"));
    }

    #[test]
    fn another_root_moves_everything() {
        let layout = Layout::new("/tmp/x".into());
        assert_eq!(
            layout.at(paths::DOCKER_SOCKET).to_str(),
            Some("/tmp/x/docker/docker.sock")
        );
        assert_eq!(layout.at(paths::ROOT).to_str(), Some("/tmp/x/"));
    }
}
