//! Which cluster: a context of the user's kubeconfig, and the connection to it.

use std::path::PathBuf;
use std::time::Duration;

use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig, KubeconfigError};
use thiserror::Error;

/// How long to wait for a TCP and TLS connection.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What the user chose, where he chose.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The kubeconfig's context; its current one where None.
    pub context: Option<String>,
    /// The namespace; the context's own where None.
    pub namespace: Option<String>,
}

/// A namespace of one Kubernetes cluster, and a client for it.
#[derive(Clone)]
pub struct Cluster {
    /// The context's name.
    pub context: String,
    /// The namespace in which everything happens.
    pub namespace: String,
    /// The API server's URL, for messages.
    pub server: String,
    pub(crate) client: Client,
    /// Files for turns at containers.
    pub(crate) turns: PathBuf,
}

/// Why no cluster could be chosen. Nothing has been sent yet.
#[derive(Debug, Error)]
pub enum ContextError {
    /// Neither a kubeconfig nor a pod's service account is there.
    #[error("no Kubernetes cluster is configured: there is no kubeconfig")]
    NoKubeconfig,
    /// The kubeconfig cannot be read.
    #[error("cannot read the kubeconfig")]
    Read(#[source] Box<KubeconfigError>),
    /// The kubeconfig has no current context and none was named.
    #[error("the kubeconfig has no current context")]
    NoCurrent {
        /// The contexts it has.
        known: Vec<String>,
    },
    /// The kubeconfig has no context of this name.
    #[error("the kubeconfig has no context `{name}`")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The contexts it has.
        known: Vec<String>,
    },
    /// The context's entries are incomplete or its files unreadable.
    #[error("the context `{name}` cannot be used")]
    Unusable {
        /// The context.
        name: String,
        /// Why.
        #[source]
        source: Box<KubeconfigError>,
    },
    /// No client could be made, for example because a certificate is malformed.
    #[error("cannot make a client for the context `{name}`")]
    Client {
        /// The context.
        name: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
}

impl ContextError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoKubeconfig => Some(
                "`skiff local up` starts a cluster on this machine; for another one, put its kubeconfig at \
                 ~/.kube/config or name it in KUBECONFIG"
                    .to_owned(),
            ),
            Self::NoCurrent { known } => Some(format!(
                "choose one with `kubectl config use-context` or `--infra k8s/CONTEXT`; there are: {}",
                known.join(", ")
            )),
            Self::Unknown { name, known } => {
                let close = known.iter().max_by(|a, b| {
                    strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name))
                });
                close.map_or_else(
                    || Some("the kubeconfig has no contexts at all".to_owned()),
                    |close| Some(format!("did you mean `{close}`? There are: {}", known.join(", "))),
                )
            }
            Self::Read(_) | Self::Unusable { .. } | Self::Client { .. } => {
                Some("`kubectl config view` shows what the kubeconfig says".to_owned())
            }
        }
    }
}

impl Cluster {
    /// The name of the context that a selection means, read from the kubeconfig alone.
    pub fn context_name(selection: &Selection) -> Option<String> {
        selection
            .context
            .clone()
            .or_else(|| Kubeconfig::read().ok()?.current_context)
    }

    /// Opens no connection yet: the first request does. Commands on this machine take turns at a container through
    /// files in the folder `turns`.
    pub async fn connect(selection: &Selection, turns: PathBuf) -> Result<Self, ContextError> {
        let (name, mut config) = load(selection).await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        let namespace = selection
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let server = config
            .cluster_url
            .to_string()
            .trim_end_matches('/')
            .to_owned();
        let client = Client::try_from(config).map_err(|source| ContextError::Client {
            name: name.clone(),
            source: Box::new(source),
        })?;
        Ok(Self {
            context: name,
            namespace,
            server,
            client,
            turns,
        })
    }
}

/// The kubeconfig's context, or the pod's service account where there is no kubeconfig.
async fn load(selection: &Selection) -> Result<(String, Config), ContextError> {
    let kubeconfig = match Kubeconfig::read() {
        Ok(kubeconfig) => kubeconfig,
        Err(KubeconfigError::FindPath) => return in_cluster(),
        Err(KubeconfigError::ReadConfig(error, _))
            if error.kind() == std::io::ErrorKind::NotFound =>
        {
            return in_cluster();
        }
        Err(error) => return Err(ContextError::Read(Box::new(error))),
    };
    let known: Vec<String> = kubeconfig
        .contexts
        .iter()
        .map(|context| context.name.clone())
        .collect();
    let name = match (&selection.context, &kubeconfig.current_context) {
        (Some(name), _) => name.clone(),
        (None, Some(name)) if !name.is_empty() => name.clone(),
        _ if known.is_empty() => return in_cluster(),
        _ => return Err(ContextError::NoCurrent { known }),
    };
    if !known.contains(&name) {
        return Err(ContextError::Unknown { name, known });
    }
    let options = KubeConfigOptions {
        context: Some(name.clone()),
        ..Default::default()
    };
    match Config::from_custom_kubeconfig(kubeconfig, &options).await {
        Ok(config) => Ok((name, config)),
        Err(source) => Err(ContextError::Unusable {
            name,
            source: Box::new(source),
        }),
    }
}

fn in_cluster() -> Result<(String, Config), ContextError> {
    let config = Config::incluster().map_err(|_| ContextError::NoKubeconfig)?;
    Ok(("in-cluster".to_owned(), config))
}
