//! Images in the nodes' stores: which are missing, and bringing them in through `ctr`.
//!
//! What was imported is written down beside each store, so that a store that outlived its cluster is
//! used again and a changed file is imported anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Instant,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    binaries::Binaries,
    cluster::Node,
    command::{CommandError, Invocation},
    event::{Event, Events},
    file::{self, FileError},
    sandbox,
};

/// The namespace of containerd that the kubelet's images are in.
const NAMESPACE: [&str; 2] = ["--namespace", "k8s.io"];
/// The pause image where Skiff's own is not there.
const UPSTREAM_PAUSE: &str = "registry.k8s.io/pause:3.9";
/// The images that a local context uses when they are there: role in the configuration, name.
const ROLES: [(&str, &str); 3] = [("docker", "docker"), ("pause", "pause"), ("task", "base")];

/// An image file could not be loaded.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// containerd refused it.
    #[error("cannot import {} into node {node}", path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// The node's name.
        node: String,
        /// Why.
        #[source]
        source: CommandError,
    },
    /// A store's content cannot be listed.
    #[error("cannot list the images of node {node}")]
    List {
        /// The node's name.
        node: String,
        /// Why.
        #[source]
        source: CommandError,
    },
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    bytes: u64,
    modified_seconds: i64,
    modified_nanoseconds: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Imported {
    stamp: Stamp,
    images: Vec<String>,
}

/// What was imported into one store, by file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Ledger(BTreeMap<PathBuf, Imported>);

impl Ledger {
    /// Whether a file's images are in the store as the file is now.
    fn covers(&self, path: &Path, stamp: Stamp, store: &BTreeSet<String>) -> bool {
        self.0.get(path).is_some_and(|imported| {
            imported.stamp == stamp && imported.images.iter().all(|image| store.contains(image))
        })
    }
}

/// The image files of one version in a folder, the smallest first.
pub(crate) fn files_of_version(folder: &Path, version: &str) -> Vec<PathBuf> {
    let ending = format!("-{version}.tar");
    let mut found: Vec<(u64, PathBuf)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.ends_with(&ending))
        })
        .filter_map(|entry| Some((entry.metadata().ok()?.len(), entry.path())))
        .collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

fn file_of(folder: &Path, name: &str, version: &str) -> PathBuf {
    folder.join(format!("{name}-{version}.tar"))
}

/// The pause image that nodes use.
pub(crate) fn pause_image(folder: &Path, version: &str) -> String {
    if file_of(folder, "pause", version).exists() {
        format!("docker.io/skiff/pause:{version}")
    } else {
        UPSTREAM_PAUSE.to_owned()
    }
}

/// The configuration layer that makes a context use the images that are there.
pub(crate) fn configuration(folder: &Path, version: &str) -> String {
    let there = ROLES
        .iter()
        .filter(|(_, name)| file_of(folder, name, version).exists());
    let lines: Vec<String> = there
        .map(|(role, name)| format!("    {role}: skiff/{name}:{version}\n"))
        .collect();
    let images = if lines.is_empty() {
        " {}\n".to_owned()
    } else {
        format!("\n{}", lines.concat())
    };
    format!(
        "# Written by `skiff local up`: the images of this cluster.\nkubernetes:\n  images:{images}"
    )
}

fn stamp(path: &Path) -> Result<Stamp, FileError> {
    let metadata = fs::metadata(path).map_err(FileError::at("read", path))?;
    Ok(Stamp {
        bytes: metadata.len(),
        modified_seconds: metadata.mtime(),
        modified_nanoseconds: metadata.mtime_nsec(),
    })
}

/// The store of one running node.
pub(crate) struct Store<'a> {
    binaries: &'a Binaries,
    node: &'a Node,
    socket: PathBuf,
}

impl<'a> Store<'a> {
    /// `sandbox` is the pid that holds the node's namespaces.
    pub(crate) fn new(binaries: &'a Binaries, node: &'a Node, sandbox: u32) -> Self {
        Self {
            binaries,
            node,
            socket: sandbox::containerd_socket(sandbox),
        }
    }

    fn ctr(&self) -> Invocation {
        Invocation::new(self.binaries.path("ctr"))
            .args(["--address".as_ref(), self.socket.as_os_str()])
            .args(NAMESPACE)
    }

    async fn images(&self) -> Result<BTreeSet<String>, ImageError> {
        let listed = self
            .ctr()
            .args(["images", "list", "--quiet"])
            .run()
            .await
            .map_err(|source| ImageError::List {
                node: self.node.files.name.clone(),
                source,
            })?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    fn ledger(&self) -> Result<Ledger, FileError> {
        let text = file::read_if_there(&self.node.files.ledger())?.unwrap_or_default();
        // One that cannot be read costs an import, nothing else.
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// Imports those files whose images are not in the store as they are now.
    pub(crate) async fn bring(
        &self,
        files: &[PathBuf],
        events: Events<'_>,
    ) -> Result<(), ImageError> {
        if files.is_empty() {
            return Ok(());
        }
        let store = self.images().await?;
        let ledger = self.ledger()?;
        for path in files {
            if !ledger.covers(path, stamp(path)?, &store) {
                self.import(path, events).await?;
            }
        }
        Ok(())
    }

    /// Imports one file whatever is there.
    pub(crate) async fn import(&self, path: &Path, events: Events<'_>) -> Result<(), ImageError> {
        let node = self.node.files.name.clone();
        events(Event::Importing {
            node: node.clone(),
            file: path.to_owned(),
        });
        let start = Instant::now();
        let stamp = stamp(path)?;
        let snapshotter = snapshotter(&self.node.files.containerd());
        let import = ["images", "import", "--snapshotter", snapshotter, "-"];
        let import = self.ctr().args(import).run_with_file(path);
        let said = import.await.map_err(|source| ImageError::Import {
            path: path.to_owned(),
            node: node.clone(),
            source,
        })?;
        let images = images_named(&said);
        let mut ledger = self.ledger()?;
        ledger.0.insert(
            path.to_owned(),
            Imported {
                stamp,
                images: images.clone(),
            },
        );
        let text = serde_json::to_string_pretty(&ledger).expect("paths here are UTF-8 or refused");
        file::write(&self.node.files.ledger(), &text)?;
        events(Event::Imported {
            node,
            images,
            took: start.elapsed(),
        });
        Ok(())
    }

    /// Removes all containers, whose processes are gone, so that the store keeps images only.
    pub(crate) async fn forget_containers(&self) -> Result<(), CommandError> {
        let listed = self
            .ctr()
            .args(["containers", "list", "--quiet"])
            .run()
            .await?;
        let containers: Vec<&str> = listed.lines().collect();
        if containers.is_empty() {
            return Ok(());
        }
        for container in &containers {
            // Most tasks end with their processes; the rest must be deleted before the container.
            let _ = self
                .ctr()
                .args(["tasks", "delete", "--force", container])
                .run()
                .await;
        }
        self.ctr()
            .args(["containers", "delete"])
            .args(containers)
            .run()
            .await
            .map(drop)
    }
}

/// The snapshotter that can work in a folder: overlays cannot lie upon an overlay.
pub(crate) fn snapshotter(folder: &Path) -> &'static str {
    const OVERLAYFS_MAGIC: u64 = 0x794c_7630;
    let filesystem = rustix::fs::statfs(folder).map(|stat| stat.f_type.cast_unsigned());
    if filesystem.is_ok_and(|magic| magic == OVERLAYFS_MAGIC) {
        "native"
    } else {
        "overlayfs"
    }
}

/// The images that `ctr images import` says it brought in.
fn images_named(said: &str) -> Vec<String> {
    let mut images: Vec<String> = said
        .split_whitespace()
        .filter(|word| word.contains('/') && word.contains(':'))
        .map(str::to_owned)
        .collect();
    images.dedup();
    images
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_or_a_lost_image_is_not_covered() {
        let stamp = Stamp {
            bytes: 1,
            modified_seconds: 2,
            modified_nanoseconds: 3,
        };
        let imported = Imported {
            stamp,
            images: vec!["docker.io/a:1".to_owned()],
        };
        let ledger = Ledger(BTreeMap::from([(PathBuf::from("/a.tar"), imported)]));
        let store = BTreeSet::from(["docker.io/a:1".to_owned()]);
        assert!(ledger.covers(Path::new("/a.tar"), stamp, &store));
        assert!(!ledger.covers(Path::new("/a.tar"), Stamp { bytes: 9, ..stamp }, &store));
        assert!(!ledger.covers(Path::new("/a.tar"), stamp, &BTreeSet::new()));
        assert!(!ledger.covers(Path::new("/b.tar"), stamp, &store));
    }

    #[test]
    fn only_images_of_this_version_are_found_and_configured() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("base-0.1.0.tar"), "long").unwrap();
        fs::write(folder.path().join("pause-0.1.0.tar"), "").unwrap();
        fs::write(folder.path().join("base-0.0.9.tar"), "").unwrap();
        let names: Vec<_> = files_of_version(folder.path(), "0.1.0")
            .iter()
            .map(|path| path.file_name().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["pause-0.1.0.tar", "base-0.1.0.tar"]);
        assert_eq!(
            pause_image(folder.path(), "0.1.0"),
            "docker.io/skiff/pause:0.1.0"
        );
        assert_eq!(pause_image(folder.path(), "0.2.0"), UPSTREAM_PAUSE);
        let text = configuration(folder.path(), "0.1.0");
        assert!(text.ends_with(
            "kubernetes:\n  images:\n    pause: skiff/pause:0.1.0\n    task: skiff/base:0.1.0\n"
        ));
        assert!(configuration(folder.path(), "0.2.0").ends_with("  images: {}\n"));
    }

    #[test]
    fn imported_images_are_read_from_what_ctr_says() {
        let said = "unpacking docker.io/skiff/base:0.1.0 (sha256:ab12)...done\n";
        assert_eq!(images_named(said), ["docker.io/skiff/base:0.1.0"]);
    }
}
