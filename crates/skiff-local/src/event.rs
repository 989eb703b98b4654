//! What happens while a command works, for whoever shows it.

use std::{path::PathBuf, time::Duration};

use crate::{component::Component, name::ClusterName, version::Version};

/// One step of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Another Skiff works on the same cluster; this one waits for it.
    WaitingForOther {
        /// The cluster.
        name: ClusterName,
    },
    /// A new cluster was decided on.
    Creating {
        /// The cluster.
        name: ClusterName,
        /// Its Kubernetes.
        kubernetes: Version,
        /// How many nodes.
        nodes: u8,
        /// Its addresses.
        range: String,
        /// Whether pods reach what lies outside.
        egress: bool,
    },
    /// A component that was dead or new is being started.
    Starting(Component),
    /// The API server answers.
    ApiReady {
        /// Since the command began.
        after: Duration,
    },
    /// Every node takes pods.
    NodesReady {
        /// Since the command began.
        after: Duration,
    },
    /// An image file is being imported.
    Importing {
        /// The node's name.
        node: String,
        /// The image file.
        file: PathBuf,
    },
    /// An image file was imported.
    Imported {
        /// The node's name.
        node: String,
        /// The images that were in the file.
        images: Vec<String>,
        /// How long it took.
        took: Duration,
    },
    /// The context was written and made current.
    ContextWritten {
        /// The context.
        context: String,
        /// The kubeconfig.
        kubeconfig: PathBuf,
    },
    /// A cluster is being stopped.
    Stopping {
        /// The cluster.
        name: ClusterName,
    },
}

/// Takes events. Called from the command's own task; must not block.
pub type Events<'a> = &'a (dyn Fn(Event) + Send + Sync);
