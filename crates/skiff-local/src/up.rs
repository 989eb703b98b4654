//! `up`: from whatever state the machine is in to a cluster that takes pods.
//!
//! Every step looks at what is there first, so a second `up` does nothing, and one after a crash, a
//! reboot or an interrupted `up` does what is left to do.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use thiserror::Error;
use tokio::time::Instant;

use crate::{
    address::Cidr,
    api::{self, ApiError},
    binaries::{Binaries, MissingBinaries},
    cgroup::CgroupError,
    cluster::Cluster,
    command::{CommandError, Invocation},
    component::Component,
    decide::{self, Offer, RequestError},
    event::{Event, Events},
    file::{self, FileError},
    images::{self, ImageError},
    kubeconfig::{self, KubeconfigError},
    layout::Layout,
    lock::Lock,
    machine::{self, Machine},
    name::ClusterName,
    network::{self, NetworkError},
    pki::PkiError,
    ports,
    process::ProcessError,
    raise::Raise,
    record::{ClusterRecord, RecordError},
    version::Version,
};

/// The version whose images are loaded.
const IMAGE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Held while a cluster chooses its addresses: one for the whole machine, whoever's cluster it is.
const ALLOCATION_LOCK: &str = "/run/skiff-local.lock";

/// What `up` is asked for.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// The cluster.
    pub name: ClusterName,
    /// How many nodes; a cluster that exists keeps its number.
    pub nodes: Option<u8>,
    /// Whether pods are to have no way out.
    pub no_egress: bool,
    /// Where to look for executables first.
    pub bin_dir: Option<PathBuf>,
    /// How long to wait until every node takes pods.
    pub wait: Duration,
}

impl Default for UpOptions {
    fn default() -> Self {
        Self {
            name: ClusterName::default(),
            nodes: None,
            no_egress: false,
            bin_dir: None,
            wait: Duration::from_mins(2),
        }
    }
}

/// What `up` did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpReport {
    /// The components that were started; none when everything ran already.
    pub started: Vec<Component>,
    /// Whether the cluster existed before.
    pub existed: bool,
    /// Its context.
    pub context: String,
    /// Its Kubernetes.
    pub kubernetes: String,
    /// How many nodes it has.
    pub nodes: u8,
    /// Whether pods reach what lies outside.
    pub egress: bool,
    /// Where its files are.
    pub folder: PathBuf,
}

/// `up` failed.
#[derive(Debug, Error)]
pub enum UpError {
    /// The user is not root.
    #[error("a local cluster needs root: it makes network namespaces, mounts and cgroups")]
    NotRoot,
    /// Executables are missing.
    #[error(transparent)]
    Missing(#[from] MissingBinaries),
    /// The request cannot be met.
    #[error("cannot bring up cluster {name}")]
    Request {
        /// The cluster.
        name: ClusterName,
        /// Why.
        #[source]
        source: RequestError,
    },
    /// The state folder would be hidden inside the nodes.
    #[error("the folder {} lies in /run, which nodes have of their own", .0.display())]
    Folder(PathBuf),
    /// An executable does not tell its version.
    #[error("`{} --version` does not print a version: {output:?}", program.display())]
    NoVersion {
        /// The executable.
        program: PathBuf,
        /// What it printed.
        output: String,
    },
    /// A port of the control plane was taken while the cluster was down.
    #[error("{component} cannot listen on {address}: another process does")]
    PortTaken {
        /// Whose port.
        component: Component,
        /// Where.
        address: String,
    },
    /// A component ended while the cluster was coming up.
    #[error("{component} ended: {log}")]
    ComponentDied {
        /// Which.
        component: Component,
        /// The end of its log.
        log: String,
        /// Its log.
        path: PathBuf,
    },
    /// The cluster did not become ready in time.
    #[error("cluster {name} is not ready after {} s: {state}", waited.as_secs())]
    NotReady {
        /// The cluster.
        name: ClusterName,
        /// How long was waited.
        waited: Duration,
        /// What it lacked last.
        state: String,
        /// Where the logs are.
        logs: PathBuf,
    },
    /// A command failed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A file could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The record could not be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Cgroups could not be used.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The network could not be made.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Certificates could not be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A process could not be started or stopped.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The API server could not be spoken to.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// An image could not be loaded.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The kubeconfig could not be changed.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
}

impl UpError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotRoot => Some("run it as root or with sudo".to_owned()),
            Self::Missing(missing) => Some(missing.remedy().to_string()),
            Self::Request { name, source } if source.is_met_by_new_cluster() => Some(format!(
                "`skiff local down --name {name}` removes it, then run `up` again"
            )),
            Self::Folder(_) => Some("set SKIFF_HOME to a folder on a disk".to_owned()),
            Self::PortTaken { .. } => {
                Some("stop that process, or `skiff local down` and `up` again".to_owned())
            }
            Self::ComponentDied { path, .. } => Some(format!("the log is {}", path.display())),
            Self::NotReady { logs, .. } => Some(format!(
                "the logs are in {}; `up` again goes on where this one stopped",
                logs.display()
            )),
            Self::Kubeconfig(error) => error.hint(),
            _ => None,
        }
    }
}

/// Brings a cluster up, or what is missing of it.
pub async fn up(
    machine: &Machine,
    options: &UpOptions,
    events: Events<'_>,
) -> Result<UpReport, UpError> {
    let start = Instant::now();
    if !machine::is_root() {
        return Err(UpError::NotRoot);
    }
    let layout = machine.layout(&options.name);
    if layout.root().starts_with("/run") || layout.root().starts_with("/var/run") {
        return Err(UpError::Folder(layout.root().to_owned()));
    }
    file::make_folder(&machine.clusters())?;
    let waiting = || {
        events(Event::WaitingForOther {
            name: options.name.clone(),
        });
    };
    let _lock = Lock::acquire(layout.lock(), waiting).await?;

    let record = ClusterRecord::read(&layout)?;
    let existed = record.is_some();
    let recorded = record
        .as_ref()
        .map(|record| record.kubernetes_folder.as_path());
    let named = options.bin_dir.as_deref();
    let named = named.map(|folder| std::path::absolute(folder).unwrap_or_else(|_| folder.into()));
    let first: Vec<&Path> = named.as_deref().into_iter().chain(recorded).collect();
    let binaries = Binaries::find(machine, &first)?;
    let (kubernetes, containerd) = tokio::try_join!(
        version_of(binaries.path("kube-apiserver")),
        version_of(binaries.path("containerd")),
    )?;
    let mut cluster = settle(machine, options, &layout, record, &binaries, kubernetes).await?;
    if !existed {
        events(Event::Creating {
            name: options.name.clone(),
            kubernetes,
            nodes: cluster.record.nodes,
            range: cluster.record.range.all().to_string(),
            egress: cluster.record.egress,
        });
    }
    let raise = Raise::new(
        machine,
        &cluster,
        &binaries,
        containerd,
        events,
        start,
        options.wait,
    )?;
    let files = images::files_of_version(&machine.images(), IMAGE_VERSION);
    let started = Box::pin(raise.run(&files)).await?;
    finish(machine, &mut cluster).await?;
    let context = cluster.layout.name().context();
    if !started.is_empty() {
        events(Event::ContextWritten {
            context: context.clone(),
            kubeconfig: machine.kubeconfig().to_owned(),
        });
    }
    Ok(UpReport {
        started,
        existed,
        context,
        kubernetes: cluster.record.kubernetes.clone(),
        nodes: cluster.record.nodes,
        egress: cluster.record.egress,
        folder: cluster.layout.root().to_owned(),
    })
}

/// Decides on the cluster's record, writes it, and takes its addresses, while no other cluster does
/// the same.
async fn settle(
    machine: &Machine,
    options: &UpOptions,
    layout: &Layout,
    record: Option<ClusterRecord>,
    binaries: &Binaries,
    kubernetes: Version,
) -> Result<Cluster, UpError> {
    let refused = |source| UpError::Request {
        name: options.name.clone(),
        source,
    };
    decide::check(options, kubernetes).map_err(refused)?;
    let _allocation = Lock::acquire(Path::new(ALLOCATION_LOCK), || {}).await?;
    let names = machine.cluster_names();
    let others = names
        .iter()
        .filter(|name| **name != options.name)
        // A record that cannot be read belongs to a cluster that cannot be started either.
        .filter_map(|name| ClusterRecord::read(&machine.layout(name)).ok().flatten());
    let around = network::surroundings(binaries, &layout.bridge()).await?;
    let mut taken: Vec<Cidr> = others.map(|other| other.range.all()).collect();
    taken.extend(around.taken);
    let folder = binaries.kubernetes_folder().to_owned();
    let record = match record {
        Some(record) if taken.iter().any(|other| other.overlaps(record.range.all())) => {
            Err(RequestError::RangeTaken(record.range.all()))
        }
        Some(record) => decide::old_cluster(options, record, kubernetes, folder),
        None => {
            let offer = Offer {
                kubernetes,
                kubernetes_folder: folder,
                kubeconfig: machine.kubeconfig().to_owned(),
                mtu: around.mtu,
                taken: &taken,
            };
            decide::new_cluster(options, offer, ports::is_free)
        }
    };
    let record = record.map_err(refused)?;
    file::make_folder(layout.root())?;
    record.write(layout)?;
    let layout = layout.clone();
    let cluster = Cluster { layout, record };
    network::make_bridge(binaries, &cluster).await?;
    Ok(cluster)
}

async fn version_of(program: &Path) -> Result<Version, UpError> {
    let output = Invocation::new(program).args(["--version"]).run().await?;
    Version::find(&output).ok_or_else(|| UpError::NoVersion {
        program: program.to_owned(),
        output,
    })
}

/// Writes what users and the CLI read: the context and its configuration layer.
async fn finish(machine: &Machine, cluster: &mut Cluster) -> Result<(), UpError> {
    let configuration = images::configuration(&machine.images(), IMAGE_VERSION);
    file::write(&cluster.layout.config(), &configuration)?;
    let entry = api::kubeconfig_entry(cluster)?;
    let previous = kubeconfig::merge_into(machine.kubeconfig(), &entry).await?;
    machine
        .kubeconfig()
        .clone_into(&mut cluster.record.kubeconfig);
    cluster.record.previous_context = previous.or(cluster.record.previous_context.take());
    Ok(cluster.record.write(&cluster.layout)?)
}
