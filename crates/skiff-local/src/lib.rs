//! A real Kubernetes on this machine, without Docker: `up`, `down`, `status`, `load`.
//!
//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler run on the host; each node is a
//! network and a mount namespace with its own containerd, kubelet and kube-proxy, joined to a bridge.
//! Skiff starts them and looks after them; it is no part of them. One process of Skiff's own stays
//! beside them, the [`controller`], which provides what a bare Kubernetes lacks.
//!
//! Decisions (addresses, ports, command lines, settings, what to start) are pure functions with tests;
//! what touches the machine is in few modules: `file`, `process`, `cgroup`, `network`, `firewall`,
//! `images`, `kubeconfig`, `api`. Progress is told as [`Event`]s. Must not print, and must not be
//! needed by any other part of Skiff but the CLI.

mod address;
mod api;
mod archive;
mod binaries;
mod cgroup;
mod cluster;
mod command;
mod component;
mod controller;
mod decide;
mod down;
mod event;
mod file;
mod firewall;
mod flags;
mod images;
mod kubeconfig;
mod layout;
mod load;
mod lock;
mod machine;
mod name;
mod network;
mod origin;
mod pki;
mod ports;
mod process;
mod raise;
mod record;
mod resolver;
mod sandbox;
mod settings;
mod status;
mod up;
mod version;

pub use address::{Cidr, CidrError, ClusterRange};
pub use api::ApiError;
pub use archive::ArchiveError;
pub use binaries::MissingBinaries;
pub use cgroup::CgroupError;
pub use command::CommandError;
pub use component::Component;
pub use controller::{CONTROLLER_COMMAND, ControllerError, Log, controller};
pub use decide::RequestError;
pub use down::{DownError, DownReport, down};
pub use event::{Event, Events};
pub use file::FileError;
pub use images::ImageError;
pub use kubeconfig::KubeconfigError;
pub use layout::Layout;
pub use load::{LoadError, load};
pub use machine::Machine;
pub use name::{ClusterName, NameError};
pub use network::NetworkError;
pub use pki::PkiError;
pub use process::ProcessError;
pub use record::RecordError;
pub use status::{
    ClusterDetails, ClusterState, ClusterStatus, ComponentStatus, NodeStatus, StatusError, status,
};
pub use up::{UpError, UpOptions, UpReport, up};
pub use version::Version;
