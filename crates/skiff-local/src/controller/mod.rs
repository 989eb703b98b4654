//! The one process of Skiff's own in a local cluster: what a bare Kubernetes lacks.
//!
//! It answers for the cluster's names and provides volumes for claims of the storage class. Everything is level-triggered: what is to be
//! done follows from what the API server shows and what lies on the disk, so that it may be killed and
//! started at any time. It has its own certificate, and no rights but those in [`rights`].

mod claim;
pub(crate) mod dns;
mod mirror;
mod provisioner;
pub(crate) mod rights;
mod volumes;

use std::path::Path;

use thiserror::Error;

use crate::{
    api::{self, ApiError},
    cluster::Cluster,
    layout::Layout,
    name::{ClusterName, NameError},
    record::{ClusterRecord, RecordError},
};

/// The words of the `skiff` command that becomes the controller; a cluster's folder follows them.
pub const CONTROLLER_COMMAND: [&str; 2] = ["local", "controller"];

/// The controller's name: of its certificate, of its kubeconfig's file, in the events it writes.
pub(crate) const NAME: &str = "skiff-controller";

/// Takes the lines of the controller's log. Must not block.
pub type Log<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// The controller cannot begin.
#[derive(Debug, Error)]
pub enum ControllerError {
    /// The folder is no cluster's.
    #[error("{} is not the folder of a local cluster", .0.display())]
    Folder(std::path::PathBuf),
    /// The folder's name is no cluster's.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The cluster's record cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Names cannot be served.
    #[error("cannot listen for questions about names on the cluster's bridge")]
    Port(#[source] std::io::Error),
    /// The API server cannot be spoken to.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// Serves the cluster whose state lies in this folder. Ends only by an error or by being dropped.
pub async fn controller(folder: &Path, log: Log<'_>) -> Result<(), ControllerError> {
    let cluster = cluster_of(folder)?;
    let client = api::client(&cluster, NAME).await?;
    log(&format!("serving cluster {}", cluster.layout.name()));
    let volumes = provisioner::run(&cluster, client.clone(), log);
    let names = dns::run(&cluster, client, log);
    let (names, ()) = tokio::join!(names, volumes);
    names.map_err(ControllerError::Port)
}

fn cluster_of(folder: &Path) -> Result<Cluster, ControllerError> {
    let unknown = || ControllerError::Folder(folder.to_owned());
    let clusters = folder.parent().ok_or_else(unknown)?;
    let name: ClusterName = folder
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(unknown)?
        .parse()?;
    let layout = Layout::new(clusters, &name);
    let record = ClusterRecord::read(&layout)?.ok_or_else(unknown)?;
    Ok(Cluster { layout, record })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_no_clusters_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("local");
        let error = cluster_of(&path).unwrap_err();
        assert!(matches!(error, ControllerError::Folder(_)), "{error}");
        let layout = Layout::new(folder.path(), &"local".parse().unwrap());
        crate::file::make_folder(layout.root()).unwrap();
        crate::record::example().write(&layout).unwrap();
        assert_eq!(cluster_of(&path).unwrap().record, crate::record::example());
    }
}
