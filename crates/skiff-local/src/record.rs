//! `cluster.json`: what was decided when a cluster was made.
//!
//! Processes are not in it: each writes its own file before it becomes the component, so that none
//! can run without a record.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    address::ClusterRange,
    file::{self, FileError},
    layout::Layout,
};

/// The form of the record that this build writes and reads.
const FORM: u32 = 1;

/// Everything that was decided for a cluster and must not change while it exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClusterRecord {
    /// The form of this record.
    pub(crate) form: u32,
    /// Version of Kubernetes, `v1.20.2`.
    pub(crate) kubernetes: String,
    /// The folder its executables came from.
    pub(crate) kubernetes_folder: PathBuf,
    /// How many nodes.
    pub(crate) nodes: u8,
    /// Whether pods reach what lies outside.
    pub(crate) egress: bool,
    /// The cluster's addresses.
    pub(crate) range: ClusterRange,
    /// Largest packet of the bridge, the nodes and the pods, in bytes.
    pub(crate) mtu: u32,
    /// Where the control plane listens.
    pub(crate) ports: Ports,
    /// The kubeconfig that the context was written to.
    pub(crate) kubeconfig: PathBuf,
    /// The context that was current before.
    pub(crate) previous_context: Option<String>,
}

/// The control plane's ports, chosen free when the cluster was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ports {
    /// API server, on the bridge.
    pub(crate) api: u16,
    /// etcd, on the cluster's loopback address, as are the next two.
    pub(crate) etcd: u16,
    /// Controller manager.
    pub(crate) controller_manager: u16,
    /// Scheduler.
    pub(crate) scheduler: u16,
}

/// The record of a cluster cannot be used.
#[derive(Debug, Error)]
pub enum RecordError {
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not what this build writes.
    #[error("{} is not a cluster record", path.display())]
    Content {
        /// The record.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Another build of Skiff wrote it in another form.
    #[error("{} has form {found}, this build reads form {FORM}", path.display())]
    Form {
        /// The record.
        path: PathBuf,
        /// The form it has.
        found: u32,
    },
}

impl ClusterRecord {
    /// The form to put into a new record.
    pub(crate) const CURRENT_FORM: u32 = FORM;

    /// Reads a cluster's record; `None` when the cluster does not exist.
    pub(crate) fn read(layout: &Layout) -> Result<Option<Self>, RecordError> {
        #[derive(Deserialize)]
        struct Form {
            form: u32,
        }
        let path = layout.record();
        let Some(text) = file::read_if_there(&path)? else {
            return Ok(None);
        };
        let content = |source| RecordError::Content {
            path: path.clone(),
            source,
        };
        let Form { form } = serde_json::from_str(&text).map_err(content)?;
        if form != FORM {
            return Err(RecordError::Form { path, found: form });
        }
        serde_json::from_str(&text).map(Some).map_err(content)
    }

    /// Writes a cluster's record.
    pub(crate) fn write(&self, layout: &Layout) -> Result<(), RecordError> {
        let path = layout.record();
        let text = serde_json::to_string_pretty(self).map_err(|source| RecordError::Content {
            path: path.clone(),
            source,
        })?;
        Ok(file::write(&path, &text)?)
    }
}

#[cfg(test)]
pub(crate) fn example() -> ClusterRecord {
    ClusterRecord {
        form: FORM,
        kubernetes: "v1.20.2".to_owned(),
        kubernetes_folder: "/k/bin".into(),
        nodes: 2,
        egress: true,
        range: ClusterRange::choose(&[]).unwrap(),
        mtu: 1500,
        ports: Ports {
            api: 6443,
            etcd: 2379,
            controller_manager: 10257,
            scheduler: 10259,
        },
        kubeconfig: "/h/.kube/config".into(),
        previous_context: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(folder: &tempfile::TempDir) -> Layout {
        let layout = Layout::new(folder.path(), &"local".parse().unwrap());
        file::make_folder(layout.root()).unwrap();
        layout
    }

    #[test]
    fn a_record_survives_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(&folder);
        assert_eq!(ClusterRecord::read(&layout).unwrap(), None);
        example().write(&layout).unwrap();
        assert_eq!(ClusterRecord::read(&layout).unwrap(), Some(example()));
    }

    #[test]
    fn another_form_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(&folder);
        file::write(&layout.record(), r#"{"form":2}"#).unwrap();
        let error = ClusterRecord::read(&layout).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("has form 2, this build reads form 1"),
            "{error}"
        );
    }
}
