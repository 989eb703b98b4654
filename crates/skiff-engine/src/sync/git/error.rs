//! Why a repository could not be cloned, and what to do about it.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a repository could not be cloned.
#[derive(Debug, Error)]
pub enum GitError {
    /// There is no git.
    #[error("cannot run git, which fetches the workdir {url}")]
    NoGit {
        /// The repository.
        url: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The address or reference is not one.
    #[error("{what} is not the name of a repository or of something in one")]
    Name {
        /// What was written.
        what: String,
    },
    /// The repository is not there for this user.
    #[error("cannot read the repository {url}: {said}")]
    NoAccess {
        /// The repository.
        url: String,
        /// What git said.
        said: String,
    },
    /// The repository has no such branch, tag or commit.
    #[error("the repository {url} has no branch, tag or commit `{reference}`")]
    NoReference {
        /// The repository.
        url: String,
        /// What was asked for.
        reference: String,
    },
    /// Git failed.
    #[error("git {command} failed for {url}: {said}")]
    Failed {
        /// The repository.
        url: String,
        /// Which of git's commands.
        command: String,
        /// What git said.
        said: String,
    },
    /// The folder for clones cannot be used.
    #[error("cannot use {path} for clones")]
    Cache {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl GitError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoGit { .. } => Some(
                "install git, or clone the repository and name the folder with --workdir"
                    .to_owned(),
            ),
            Self::NoAccess { .. } => Some(
                "check the address; GIT_TOKEN gives git a token for HTTPS, GIT_SSH_KEY_PATH a key for SSH".to_owned(),
            ),
            Self::NoReference { url, .. } => {
                Some(format!("`git ls-remote {url}` lists branches and tags"))
            }
            Self::Name { .. } | Self::Failed { .. } | Self::Cache { .. } => None,
        }
    }
}
