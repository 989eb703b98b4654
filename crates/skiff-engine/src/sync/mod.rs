//! The user's files on their way to the nodes: what is synced, and one sync over as many connections as it takes.

mod git;
mod transfer;
mod tree;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use skiff_proto::FaultKind;
use skiff_proto::tree::SyncRoot;
use skiff_schema::{FileMount, ResolvedTask, Workdir};
use thiserror::Error;

use crate::connect::{AgentError, Connection};
use crate::{Event, Reporter};
pub use git::GitError;
use skiff_wire::SessionError;
use tree::Trees;

/// A workdir that is larger than this is worth a word, as in SkyPilot.
const LARGE: u64 = 256 << 20;
/// How often files that change while they are sent are read again.
const ROUNDS: u32 = 5;

/// The user's machine, as far as syncs need it.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// The home folder: what `~` stands for in paths.
    pub home: PathBuf,
    /// A folder for clones of repositories.
    pub cache: PathBuf,
    /// `GIT_TOKEN`: the password for repositories behind HTTPS.
    pub git_token: Option<String>,
    /// `GIT_SSH_KEY_PATH`: the key for repositories behind SSH.
    pub git_ssh_key: Option<PathBuf>,
}

/// Why files could not be synced.
#[derive(Debug, Error)]
pub enum SyncError {
    /// The workdir is not there, or is no folder.
    #[error("the workdir {path} is not a folder that can be read")]
    NotAFolder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The source of a mount is not there.
    #[error("cannot read {path}, which `file_mounts` puts at {destination}")]
    NoSource {
        /// The source.
        path: PathBuf,
        /// Its place in the pods.
        destination: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Something in a folder cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The `.skyignore` cannot be understood.
    #[error("{path} is not a list of patterns")]
    Ignore {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ignore::Error,
    },
    /// The repository could not be cloned.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The agent did not take it.
    #[error(transparent)]
    Agent(#[from] AgentError),
}

impl SyncError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Agent(error) => error.hint(),
            Self::Git(error) => error.hint(),
            Self::Read { .. } => {
                Some("make it readable, or leave it out with a .skyignore".to_owned())
            }
            Self::Ignore { .. } => Some("write patterns as in a .gitignore, one a line".to_owned()),
            Self::NotAFolder { .. } | Self::NoSource { .. } => None,
        }
    }
}

/// A file or folder of the user's, and where it goes.
#[derive(Clone, Debug)]
struct Source {
    root: SyncRoot,
    path: PathBuf,
    /// Whether nothing of it stays behind, whatever it asks to ignore: a clone has nothing but what its repository has.
    is_whole: bool,
}

/// What of a task is synced.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    sources: Vec<Source>,
    repository: Option<git::Repository>,
}

impl Sources {
    /// The workdir of a task, and where asked for its local mounts. What is not there is told now, before anything is
    /// created for it.
    pub(crate) fn of(
        task: &ResolvedTask,
        with_mounts: bool,
        machine: &Machine,
    ) -> Result<Self, SyncError> {
        let mut found = Self::default();
        match &task.workdir {
            Some(Workdir::Folder(path)) => {
                let path = expanded(path, &machine.home);
                // A link to a folder stands for the folder.
                let path = path
                    .canonicalize()
                    .and_then(|folder| std::fs::read_dir(&folder).map(|_| folder))
                    .map_err(|source| SyncError::NotAFolder { path, source })?;
                found.add(SyncRoot::Workdir, path);
            }
            Some(Workdir::Git { url, reference }) => {
                found.repository = Some(git::Repository::new(url, reference.as_deref(), machine)?);
            }
            None => {}
        }
        if with_mounts {
            for (destination, mount) in &task.file_mounts {
                let FileMount::Local(path) = mount else {
                    continue;
                };
                let path = expanded(path, &machine.home);
                let path = path.canonicalize().map_err(|source| SyncError::NoSource {
                    path,
                    destination: destination.clone(),
                    source,
                })?;
                let root = SyncRoot::Mount {
                    path: destination.clone(),
                };
                found.add(root, path);
            }
        }
        Ok(found)
    }

    /// Brings what is not on this machine yet; gives the variables that tell a job about it.
    pub(crate) async fn fetch(
        &mut self,
        reporter: &dyn Reporter,
    ) -> Result<Vec<(String, String)>, SyncError> {
        let Some(repository) = self.repository.take() else {
            return Ok(Vec::new());
        };
        reporter.event(Event::Waiting(format!("fetching {}", repository.url())));
        let checkout = repository.check_out().await?;
        self.sources.insert(
            0,
            Source {
                root: SyncRoot::Workdir,
                path: checkout.folder,
                is_whole: true,
            },
        );
        Ok(checkout.variables)
    }

    fn add(&mut self, root: SyncRoot, path: PathBuf) {
        self.sources.push(Source {
            root,
            path,
            is_whole: false,
        });
    }

    /// The folder of the workdir, and the number of mounts, in words.
    fn words(&self) -> String {
        let workdirs = self
            .sources
            .iter()
            .filter(|source| source.root == SyncRoot::Workdir)
            .count();
        let mounts = match self.sources.len() - workdirs {
            0 => None,
            1 => Some("1 file mount".to_owned()),
            count => Some(format!("{count} file mounts")),
        };
        match (workdirs, mounts) {
            (0, mounts) => mounts.unwrap_or_default(),
            (_, None) => "workdir".to_owned(),
            (_, Some(mounts)) => format!("workdir and {mounts}"),
        }
    }
}

/// One sync, the same one over however many connections.
pub(crate) struct Syncing {
    sources: Sources,
    name: String,
    started: Instant,
    trees: Option<Arc<Trees>>,
    rounds: u32,
    /// The least that was lacking at the start of a connection: less of it is progress.
    lacking: Option<u64>,
    is_done: bool,
}

impl Syncing {
    /// A sync of these; None where there is nothing to sync.
    pub(crate) fn new(sources: Sources) -> Option<Self> {
        (!sources.sources.is_empty()).then(|| Self {
            sources,
            name: uuid::Uuid::new_v4().to_string(),
            started: Instant::now(),
            trees: None,
            rounds: 0,
            lacking: None,
            is_done: false,
        })
    }

    /// Reads the user's files, unless that was done before.
    pub(crate) async fn read(&mut self, reporter: &dyn Reporter) -> Result<(), SyncError> {
        if self.is_done || self.trees.is_some() {
            return Ok(());
        }
        let sources = self.sources.sources.clone();
        let reading = tokio::task::spawn_blocking(move || Trees::read(&sources));
        let trees = reading
            .await
            .expect("reading does not panic and is not aborted")?;
        if trees.bytes > LARGE && self.rounds == 0 {
            reporter.event(Event::Note(format!(
                "{} MB are to be synced: a .skyignore leaves out what the task does not need",
                trees.bytes / 1_000_000
            )));
        }
        self.trees = Some(Arc::new(trees));
        Ok(())
    }

    /// Syncs over this connection. Where that breaks, the next call goes on.
    pub(crate) async fn run(
        &mut self,
        connection: &Connection,
        reporter: &dyn Reporter,
    ) -> Result<(), SyncError> {
        while !self.is_done {
            self.read(reporter).await?;
            let Some(trees) = self.trees.clone() else {
                continue;
            };
            match transfer::send(connection, &self.name, &trees, reporter, &mut self.lacking).await
            {
                Ok(sent) => {
                    self.is_done = true;
                    reporter.event(Event::Synced {
                        what: self.sources.words(),
                        files: trees.files,
                        bytes: trees.bytes,
                        sent,
                        elapsed: self.started.elapsed(),
                    });
                }
                Err(error) if self.rounds < ROUNDS && is_changed(&error) => {
                    self.rounds += 1;
                    self.trees = None;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// What was still lacking when the agent was last asked.
    pub(crate) fn lacking(&self) -> Option<u64> {
        self.lacking
    }
}

/// Whether files changed on the way.
fn is_changed(error: &AgentError) -> bool {
    matches!(error, AgentError::Session { source: SessionError::Refused(fault), .. }
        if fault.kind == FaultKind::Changed)
}

/// A path as users write it.
fn expanded(path: &str, home: &Path) -> PathBuf {
    match path.strip_prefix('~') {
        Some("") => home.to_owned(),
        Some(below) if below.starts_with('/') => home.join(below.trim_start_matches('/')),
        _ => PathBuf::from(path),
    }
}

/// The last name of a place, as the name of what appears there.
fn last_name(place: &str) -> OsString {
    let name = Path::new(place).file_name();
    match name {
        Some(name) if place != "~" => name.to_owned(),
        _ => "home".into(),
    }
}

/// How long between two words about progress.
const TELL_EVERY: Duration = Duration::from_millis(200);
