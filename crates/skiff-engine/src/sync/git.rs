//! Workdirs that are git repositories: cloned here, with the user's git and rights, and synced from here.
//!
//! No git and no credential reaches a pod: passwords go to git alone, through its environment, never on a command line
//! nor into the clone.

mod error;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::Machine;
pub use error::GitError;

/// Answers git's question for a password with what is in its environment.
const HELPER: &str = "!f() { test \"$1\" = get && printf 'username=%s\\npassword=%s\\n' \
                      \"$SKIFF_GIT_USER\" \"$SKIFF_GIT_PASSWORD\"; }; f";

/// A repository, and how to get at it.
#[derive(Clone)]
pub(super) struct Repository {
    /// The address, without user and password.
    url: String,
    reference: Option<String>,
    folder: PathBuf,
    /// User and password for HTTPS.
    credential: Option<(String, String)>,
    ssh_key: Option<PathBuf>,
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository")
            .field("url", &self.url)
            .field("reference", &self.reference)
            .finish_non_exhaustive()
    }
}

/// A clone at the wanted state.
pub(super) struct Checkout {
    pub(super) folder: PathBuf,
    /// What tells a job about it.
    pub(super) variables: Vec<(String, String)>,
}

/// What a reference is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Branch(String),
    Tag(String),
    Commit(String),
}

impl Repository {
    pub(super) fn new(
        url: &str,
        reference: Option<&str>,
        machine: &Machine,
    ) -> Result<Self, GitError> {
        let (url, written) = without_credential(url);
        let wrong =
            |text: &str| text.is_empty() || text.starts_with('-') || text.contains(['\0', '\n']);
        if let Some(what) = [Some(url.as_str()), reference]
            .into_iter()
            .flatten()
            .find(|text| wrong(text))
        {
            return Err(GitError::Name {
                what: format!("`{what}`"),
            });
        }
        let is_https = url.starts_with("https://") || url.starts_with("http://");
        let token = machine
            .git_token
            .as_ref()
            .map(|token| ("x-access-token".to_owned(), token.clone()));
        let id = blake3::hash(format!("{url}\0{}", reference.unwrap_or_default()).as_bytes());
        Ok(Self {
            folder: machine.cache.join("git").join(&id.to_hex()[..16]),
            reference: reference.map(str::to_owned),
            credential: written.or(token).filter(|_| is_https),
            ssh_key: machine.git_ssh_key.clone(),
            url,
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Clones the repository, or brings the clone of an earlier launch up to date.
    pub(super) async fn check_out(&self) -> Result<Checkout, GitError> {
        let _lock = self.lock().await?;
        let kind = self.kind().await?;
        if !self.folder.join(".git").is_dir() {
            self.git(&["init", "--quiet", "--template="]).await?;
        }
        let config = ["config", "remote.origin.url", &self.url];
        self.git(&config).await?;
        let config = [
            "config",
            "remote.origin.fetch",
            "+refs/heads/*:refs/remotes/origin/*",
        ];
        self.git(&config).await?;
        self.fetch(&kind).await?;
        let mut variables = vec![("GIT_URL".to_owned(), self.url.clone())];
        let (name, value) = match &kind {
            Kind::Branch(name) => {
                let start = format!("refs/remotes/origin/{name}");
                self.git(&["checkout", "--quiet", "--force", "-B", name, &start, "--"])
                    .await?;
                ("GIT_BRANCH", name)
            }
            Kind::Tag(name) => {
                self.detach(&format!("refs/tags/{name}")).await?;
                ("GIT_TAG", name)
            }
            Kind::Commit(name) => {
                self.detach(name).await?;
                ("GIT_COMMIT_HASH", name)
            }
        };
        self.git(&["clean", "--quiet", "--force", "-d", "-x"])
            .await?;
        variables.push((name.to_owned(), value.clone()));
        Ok(Checkout {
            folder: self.folder.clone(),
            variables,
        })
    }

    async fn detach(&self, start: &str) -> Result<(), GitError> {
        self.git(&["checkout", "--quiet", "--force", "--detach", start, "--"])
            .await
            .map(drop)
    }

    /// One launch at a time works in a clone.
    async fn lock(&self) -> Result<File, GitError> {
        let path = self.folder.with_extension("lock");
        let folder = self.folder.clone();
        let locking = tokio::task::spawn_blocking(move || {
            fs::create_dir_all(&folder)?;
            let file = File::create(path)?;
            file.lock()?;
            Ok(file)
        });
        let locked = locking
            .await
            .expect("locking does not panic and is not aborted");
        locked.map_err(|source| GitError::Cache {
            path: self.folder.clone(),
            source,
        })
    }

    /// Asks the repository what the reference is.
    async fn kind(&self) -> Result<Kind, GitError> {
        let listed = self
            .git(&["ls-remote", "--symref", "--", &self.url])
            .await?;
        kind_of(&listed, self.reference.as_deref()).ok_or_else(|| GitError::NoReference {
            url: self.url.clone(),
            reference: self.reference.clone().unwrap_or_else(|| "HEAD".to_owned()),
        })
    }

    async fn fetch(&self, kind: &Kind) -> Result<(), GitError> {
        let (wanted, all) = match kind {
            Kind::Branch(name) => (
                format!("+refs/heads/{name}:refs/remotes/origin/{name}"),
                false,
            ),
            Kind::Tag(name) => (format!("+refs/tags/{name}:refs/tags/{name}"), false),
            // Most servers give a commit by its whole name.
            Kind::Commit(name) => (name.clone(), true),
        };
        let is_there = format!("{wanted}^{{commit}}");
        if all
            && self
                .git(&["rev-parse", "--quiet", "--verify", &is_there])
                .await
                .is_ok()
        {
            return Ok(());
        }
        let shallow = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--depth",
            "1",
            "--force",
            "origin",
            &wanted,
        ];
        match self.git(&shallow).await {
            Err(GitError::Failed { .. } | GitError::NoAccess { .. }) if all => {}
            result => return result.map(drop),
        }
        let unshallow = self.folder.join(".git/shallow").exists();
        let mut full = vec!["fetch", "--quiet", "--tags", "--force"];
        if unshallow {
            full.push("--unshallow");
        }
        full.push("origin");
        self.git(&full).await?;
        self.git(&["rev-parse", "--quiet", "--verify", &is_there])
            .await
            .map(drop)
            .map_err(|_| GitError::NoReference {
                url: self.url.clone(),
                reference: wanted,
            })
    }

    /// Runs one of git's commands in the clone; gives what it printed.
    async fn git(&self, words: &[&str]) -> Result<String, GitError> {
        let mut command = Command::new("git");
        command
            .current_dir(&self.folder)
            .args(["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60"])
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .env_remove("GIT_TOKEN")
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some((user, password)) = &self.credential {
            command
                .args(["-c", "credential.helper="])
                .args(["-c", &format!("credential.helper={HELPER}")])
                .env("SKIFF_GIT_USER", user)
                .env("SKIFF_GIT_PASSWORD", password);
        }
        if let Some(key) = &self.ssh_key {
            command.env("GIT_SSH_COMMAND", ssh_command(key));
        }
        let output = command.args(words).output().await;
        let output = output.map_err(|source| GitError::NoGit {
            url: self.url.clone(),
            source,
        })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = last_line(&String::from_utf8_lossy(&output.stderr));
        let url = self.url.clone();
        Err(match words.first() {
            Some(&"ls-remote") => GitError::NoAccess { url, said },
            command => GitError::Failed {
                url,
                command: command.map_or_else(String::new, ToString::to_string),
                said,
            },
        })
    }
}

/// What a reference is among those that a repository lists; without one, its default branch.
fn kind_of(listed: &str, reference: Option<&str>) -> Option<Kind> {
    let Some(reference) = reference else {
        let head = listed.lines().find_map(|line| {
            line.strip_prefix("ref: refs/heads/")?
                .strip_suffix("\tHEAD")
        });
        let detached = || listed.lines().find_map(|line| line.strip_suffix("\tHEAD"));
        return match head {
            Some(branch) => Some(Kind::Branch(branch.to_owned())),
            None => detached().map(|commit| Kind::Commit(commit.to_owned())),
        };
    };
    let has = |name: &str| {
        listed.lines().any(|line| {
            line.split_once('\t')
                .is_some_and(|(_, listed)| listed == name)
        })
    };
    let short = reference
        .strip_prefix("refs/heads/")
        .or_else(|| reference.strip_prefix("refs/tags/"))
        .unwrap_or(reference);
    if !reference.starts_with("refs/tags/") && has(&format!("refs/heads/{short}")) {
        return Some(Kind::Branch(short.to_owned()));
    }
    if !reference.starts_with("refs/heads/") && has(&format!("refs/tags/{short}")) {
        return Some(Kind::Tag(short.to_owned()));
    }
    let is_commit = (7..=64).contains(&reference.len())
        && reference.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_commit.then(|| Kind::Commit(reference.to_ascii_lowercase()))
}

/// An address without user and password, and these. A user without a password is part of the address.
fn without_credential(url: &str) -> (String, Option<(String, String)>) {
    let parts = url.split_once("://").and_then(|(scheme, rest)| {
        let end = rest.find('/').unwrap_or(rest.len());
        let (user, host) = rest[..end].rsplit_once('@')?;
        scheme
            .starts_with("http")
            .then(|| (format!("{scheme}://{host}{}", &rest[end..]), user))
    });
    let Some((clean, written)) = parts else {
        return (url.to_owned(), None);
    };
    // A token alone is a user to most servers, and a password to the others.
    let (user, password) = written.split_once(':').unwrap_or((written, written));
    (clean, Some((decoded(user), decoded(password))))
}

/// Takes `%40` and the like back.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code.filter(|_| *first == b'%') {
            Some(code) => (bytes.push(code), rest = &after[2..]).1,
            None => (bytes.push(*first), rest = after).1,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The SSH command that uses one key.
fn ssh_command(key: &Path) -> String {
    let quoted = key.display().to_string().replace('\'', "'\\''");
    format!("ssh -i '{quoted}' -o IdentitiesOnly=yes -o BatchMode=yes")
}

/// What git said last that says something.
fn last_line(said: &str) -> String {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let telling = lines
        .clone()
        .find(|line| line.starts_with("fatal:") || line.starts_with("error:"));
    let line = telling
        .or_else(|| lines.next_back())
        .unwrap_or("it said nothing");
    line.trim_start_matches("fatal: ")
        .trim_start_matches("error: ")
        .to_owned()
}

#[cfg(test)]
mod tests;
