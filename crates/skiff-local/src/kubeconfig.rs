//! The user's kubeconfig: our context goes in and out, everything else stays.
//!
//! Editing is pure; [`merge_into`] and [`remove_from`] hold kubectl's lock file (`<file>.lock`) while
//! they read, edit and replace the file.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use kube::config::{
    AuthInfo, Cluster as ClusterEntry, Context, Kubeconfig, KubeconfigError as ParseError,
    NamedAuthInfo, NamedCluster, NamedContext,
};
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::file::{self, FileError};

/// How long another program may hold the lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The user's kubeconfig could not be changed.
#[derive(Debug, Error)]
pub enum KubeconfigError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not a kubeconfig.
    #[error("{} is not a kubeconfig", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<ParseError>,
    },
    /// The changed content cannot be written as YAML.
    #[error("cannot write {} as YAML: {reason}", path.display())]
    Serialize {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Another program holds the lock file.
    #[error("{} is held by another program", .0.display())]
    Locked(PathBuf),
}

impl KubeconfigError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Locked(lock) => Some(format!(
                "if no kubectl or Skiff is running, remove the left-over {}",
                lock.display()
            )),
            _ => None,
        }
    }
}

/// What a context needs: one name for context, cluster and user.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) server: String,
    /// Base64 of PEM, as are the next two.
    pub(crate) authority: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Puts the entry in, makes it current, and returns the context that was current before.
fn merge(config: &mut Kubeconfig, entry: &Entry) -> Option<String> {
    take_out(config, &entry.name);
    let name = || entry.name.clone();
    let cluster = ClusterEntry {
        server: Some(entry.server.clone()),
        certificate_authority_data: Some(entry.authority.clone()),
        ..Default::default()
    };
    let user = AuthInfo {
        client_certificate_data: Some(entry.certificate.clone()),
        client_key_data: Some(entry.key.clone().into()),
        ..Default::default()
    };
    let context = Context {
        cluster: name(),
        user: Some(name()),
        ..Default::default()
    };
    config.clusters.push(NamedCluster {
        name: name(),
        cluster: Some(cluster),
        ..Default::default()
    });
    config.auth_infos.push(NamedAuthInfo {
        name: name(),
        auth_info: Some(user),
        ..Default::default()
    });
    config.contexts.push(NamedContext {
        name: name(),
        context: Some(context),
        ..Default::default()
    });
    config.api_version.get_or_insert_with(|| "v1".to_owned());
    config.kind.get_or_insert_with(|| "Config".to_owned());
    let previous = config.current_context.replace(name());
    previous.filter(|previous| !previous.is_empty() && *previous != entry.name)
}

fn take_out(config: &mut Kubeconfig, name: &str) -> bool {
    let count = |c: &Kubeconfig| c.clusters.len() + c.auth_infos.len() + c.contexts.len();
    let before = count(config);
    config.clusters.retain(|cluster| cluster.name != name);
    config.auth_infos.retain(|user| user.name != name);
    config.contexts.retain(|context| context.name != name);
    count(config) != before
}

/// Takes our entries out, if they are ours, and says whether anything changed.
///
/// A context of the same name that leads to another server belongs to somebody else.
fn unmerge(
    config: &mut Kubeconfig,
    name: &str,
    server: Option<&str>,
    previous: Option<&str>,
) -> bool {
    let named = config.clusters.iter().find(|cluster| cluster.name == name);
    let leads_to = named.and_then(|c| c.cluster.as_ref()?.server.as_deref());
    if leads_to.is_some() && server.is_some() && leads_to != server {
        return false;
    }
    if !take_out(config, name) {
        return false;
    }
    if config.current_context.as_deref() == Some(name) {
        let still_there = previous.filter(|p| config.contexts.iter().any(|c| c.name == *p));
        config.current_context = Some(still_there.unwrap_or_default().to_owned());
    }
    true
}

/// Writes the entry into a kubeconfig and returns the context that was current before.
pub(crate) async fn merge_into(
    path: &Path,
    entry: &Entry,
) -> Result<Option<String>, KubeconfigError> {
    let path = &resolved(path);
    if let Some(folder) = path.parent() {
        file::make_folder(folder)?;
    }
    let _lock = Lock::acquire(path).await?;
    let mut config = read(path)?.unwrap_or_default();
    let previous = merge(&mut config, entry);
    write(path, &config)?;
    Ok(previous)
}

/// Removes a cluster's entries from a kubeconfig and says whether there were any.
pub(crate) async fn remove_from(
    path: &Path,
    name: &str,
    server: Option<&str>,
    previous: Option<&str>,
) -> Result<bool, KubeconfigError> {
    let path = &resolved(path);
    if !path.exists() {
        return Ok(false);
    }
    let _lock = Lock::acquire(path).await?;
    let Some(mut config) = read(path)? else {
        return Ok(false);
    };
    let changed = unmerge(&mut config, name, server, previous);
    if changed {
        write(path, &config)?;
    }
    Ok(changed)
}

/// The file behind links: the link stays, what it names is replaced.
fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn read(path: &Path) -> Result<Option<Kubeconfig>, KubeconfigError> {
    match file::read_if_there(path)? {
        Some(text) if !text.trim().is_empty() => {
            Kubeconfig::from_yaml(&text)
                .map(Some)
                .map_err(|e| KubeconfigError::Parse {
                    path: path.to_owned(),
                    source: Box::new(e),
                })
        }
        _ => Ok(None),
    }
}

fn write(path: &Path, config: &Kubeconfig) -> Result<(), KubeconfigError> {
    let text = to_yaml(config).map_err(|reason| KubeconfigError::Serialize {
        path: path.to_owned(),
        reason,
    })?;
    let owner = fs::metadata(path)
        .ok()
        .map(|metadata| (metadata.uid(), metadata.gid()));
    file::write(path, &text)?;
    if let Some((user, group)) = owner {
        std::os::unix::fs::chown(path, Some(user), Some(group))
            .map_err(FileError::at("give back", path))?;
    }
    Ok(())
}

/// Keys in a fixed order; long texts on one line, as kubectl writes them.
fn to_yaml(config: &Kubeconfig) -> Result<String, String> {
    let value = serde_json::to_value(config).map_err(|error| error.to_string())?;
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(&value, options).map_err(|error| error.to_string())
}

/// kubectl's lock: a file that only one program can create.
struct Lock(PathBuf);

impl Lock {
    async fn acquire(path: &Path) -> Result<Self, KubeconfigError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            match OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&lock)
            {
                Ok(_) => return Ok(Self(lock)),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(FileError::at("create", &lock)(error).into());
                }
                Err(_) if Instant::now() > deadline => return Err(KubeconfigError::Locked(lock)),
                Err(_) => sleep(LOOK_AGAIN).await,
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Nothing can be done about it here; the next holder names the file if it stays.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHERS: &str = r#"
apiVersion: v1
kind: Config
current-context: work
preferences: {colors: true}
clusters:
- name: work
  cluster: {server: "https://work.example", insecure-skip-tls-verify: true, future-field: [1, "0x1"]}
users:
- name: work
  user: {token: "0123", username: "yes"}
contexts:
- name: work
  context: {cluster: work, user: work, namespace: "on"}
"#;

    fn entry() -> Entry {
        Entry {
            name: "skiff-local".to_owned(),
            server: "https://10.200.0.1:6443".to_owned(),
            authority: "QUJD".repeat(100),
            certificate: "REVG".to_owned(),
            key: "R0hJ".to_owned(),
        }
    }

    fn parse(text: &str) -> serde_json::Value {
        serde_json::to_value(Kubeconfig::from_yaml(text).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn in_and_out_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        fs::write(&path, OTHERS).unwrap();
        let previous = merge_into(&path, &entry()).await.unwrap();
        assert_eq!(previous.as_deref(), Some("work"));
        let merged = parse(&fs::read_to_string(&path).unwrap());
        assert_eq!(merged["current-context"], "skiff-local");
        assert_eq!(merged["contexts"].as_array().unwrap().len(), 2);
        assert_eq!(merged["users"][0], parse(OTHERS)["users"][0]);

        let server = entry().server;
        let removed = remove_from(&path, "skiff-local", Some(&server), previous.as_deref()).await;
        assert!(removed.unwrap());
        assert_eq!(parse(&fs::read_to_string(&path).unwrap()), parse(OTHERS));
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no lock is left"
        );
    }

    #[tokio::test]
    async fn merging_twice_is_merging_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/config");
        assert_eq!(merge_into(&path, &entry()).await.unwrap(), None);
        let first = fs::read_to_string(&path).unwrap();
        assert_eq!(merge_into(&path, &entry()).await.unwrap(), None);
        assert_eq!(fs::read_to_string(&path).unwrap(), first);
        assert!(
            first.contains(&"QUJD".repeat(100)),
            "long texts stay on one line"
        );
    }

    #[test]
    fn without_a_context_to_return_to_none_is_current() {
        let mut config = Kubeconfig::default();
        merge(&mut config, &entry());
        assert!(unmerge(&mut config, "skiff-local", None, Some("gone")));
        assert_eq!(config.current_context.as_deref(), Some(""));
        assert!(!unmerge(&mut config, "skiff-local", None, None));
    }

    #[test]
    fn a_namesake_on_another_server_stays() {
        let mut config = Kubeconfig::default();
        merge(&mut config, &entry());
        assert!(!unmerge(
            &mut config,
            "skiff-local",
            Some("https://10.201.0.1:6443"),
            None
        ));
        assert_eq!(config.contexts.len(), 1);
    }

    #[test]
    fn texts_that_other_readers_take_for_something_else_are_quoted() {
        let text = to_yaml(&Kubeconfig::from_yaml(OTHERS).unwrap()).unwrap();
        for quoted in ["0123", "yes", "on", "0x1"] {
            let found = ['"', '\'']
                .iter()
                .any(|q| text.contains(&format!("{q}{quoted}{q}")));
            assert!(found, "{quoted} in {text}");
        }
    }

    #[tokio::test]
    async fn what_is_no_kubeconfig_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        fs::write(&path, "clusters: 3\n").unwrap();
        let error = merge_into(&path, &entry()).await.unwrap_err();
        assert!(matches!(error, KubeconfigError::Parse { .. }));
        assert_eq!(fs::read_to_string(&path).unwrap(), "clusters: 3\n");
        assert!(!folder.path().join("config.lock").exists());
    }
}
