//! `load`: image files into every node of a running cluster.

use std::path::PathBuf;

use futures::future::try_join_all;
use thiserror::Error;

use crate::{
    archive::{self, ArchiveError},
    binaries::{Binaries, MissingBinaries},
    cluster::Cluster,
    component::Component,
    event::{Event, Events},
    file::FileError,
    images::{ImageError, Store},
    lock::Lock,
    machine::{self, Machine},
    name::ClusterName,
    process,
    record::{ClusterRecord, RecordError},
    sandbox,
};

/// `load` failed.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The user is not root.
    #[error("loading images into a local cluster needs root")]
    NotRoot,
    /// The cluster does not exist.
    #[error("there is no local cluster {0}")]
    NoCluster(ClusterName),
    /// A node's containerd does not run.
    #[error("containerd of node {node} does not run")]
    NotRunning {
        /// The node's name.
        node: String,
        /// Its cluster.
        name: ClusterName,
    },
    /// Executables are missing.
    #[error(transparent)]
    Missing(#[from] MissingBinaries),
    /// The lock cannot be taken.
    #[error(transparent)]
    File(#[from] FileError),
    /// The cluster's record cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A file is not an image archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A file cannot be loaded.
    #[error(transparent)]
    Image(#[from] ImageError),
}

impl LoadError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotRoot => Some("run it as root or with sudo".to_owned()),
            Self::Missing(missing) => Some(missing.remedy().to_string()),
            Self::NoCluster(name) | Self::NotRunning { name, .. } => {
                Some(format!("`skiff local up --name {name}` starts it"))
            }
            _ => None,
        }
    }
}

/// Imports image files into every node. Every file is checked before the first is imported.
pub async fn load(
    machine: &Machine,
    name: &ClusterName,
    files: &[PathBuf],
    events: Events<'_>,
) -> Result<(), LoadError> {
    if !machine::is_root() {
        return Err(LoadError::NotRoot);
    }
    let layout = machine.layout(name);
    if !layout.record().exists() {
        return Err(LoadError::NoCluster(name.clone()));
    }
    for path in files {
        archive::check(path)?;
    }
    let waiting = || events(Event::WaitingForOther { name: name.clone() });
    let _lock = Lock::acquire(layout.lock(), waiting).await?;
    let record = ClusterRecord::read(&layout)?.ok_or_else(|| LoadError::NoCluster(name.clone()))?;
    let binaries = Binaries::find(machine, &[&record.kubernetes_folder])?;
    let cluster = Cluster { layout, record };
    let mut targets = Vec::new();
    for node in cluster.nodes() {
        let containerd = Component::Containerd(node.index).process_record(&cluster.layout);
        let holder = sandbox::pid(&cluster.layout, node.index);
        let (Some(holder), Some(_)) = (holder, process::running(&containerd)) else {
            return Err(LoadError::NotRunning {
                node: node.files.name,
                name: name.clone(),
            });
        };
        targets.push((node, holder));
    }
    let imports = targets.iter().map(|(node, holder)| {
        let store = Store::new(&binaries, node, *holder);
        async move {
            for path in files {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                store.import(&path, events).await?;
            }
            Ok::<_, ImageError>(())
        }
    });
    try_join_all(imports).await?;
    Ok(())
}
