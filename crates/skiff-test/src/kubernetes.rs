//! The Kubernetes cluster that the end-to-end tests run on, as the environment names it.
//!
//! `SKIFF_BIN` is the program under test, `KUBECONFIG` and `SKIFF_TEST_CONTEXT` the cluster. A context
//! `skiff-<name>` is a local cluster of Skiff's own: then some tests also reach behind the API.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::{Finished, Program};

/// How long a local cluster may take to start again.
const START: Duration = Duration::from_mins(2);

/// The cluster under test.
#[derive(Clone, Debug)]
pub struct Kubernetes {
    /// The `skiff` executable under test.
    pub skiff: PathBuf,
    /// The kubeconfig with an administrator's credentials.
    pub kubeconfig: Kubeconfig,
    /// The path that it was read from.
    pub kubeconfig_path: PathBuf,
    /// Its context.
    pub context: String,
    /// Skiff's home that the cluster was started with.
    pub skiff_home: PathBuf,
}

impl Kubernetes {
    /// Reads the environment.
    pub fn from_environment() -> Result<Self> {
        let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let skiff =
            path("SKIFF_BIN").context("SKIFF_BIN must name the skiff executable under test")?;
        let kubeconfig_path =
            path("KUBECONFIG").context("KUBECONFIG must name the test cluster's kubeconfig")?;
        let kubeconfig = Kubeconfig::read_from(&kubeconfig_path)?;
        let context = std::env::var("SKIFF_TEST_CONTEXT")
            .ok()
            .or_else(|| kubeconfig.current_context.clone());
        let context = context.context("SKIFF_TEST_CONTEXT must name the test cluster's context")?;
        let home = path("HOME").unwrap_or_default();
        let skiff_home = path("SKIFF_HOME").unwrap_or_else(|| home.join(".skiff"));
        Ok(Self {
            skiff,
            kubeconfig,
            kubeconfig_path,
            context,
            skiff_home,
        })
    }

    /// A client with the administrator's rights.
    pub async fn client(&self) -> Result<Client> {
        let options = KubeConfigOptions {
            context: Some(self.context.clone()),
            ..Default::default()
        };
        let config = Config::from_custom_kubeconfig(self.kubeconfig.clone(), &options).await?;
        Ok(Client::try_from(config)?)
    }

    /// The name of the local cluster that this is.
    pub fn local_name(&self) -> Result<&str> {
        self.context
            .strip_prefix("skiff-")
            .context("this test needs a local cluster (`skiff local up`)")
    }

    /// The folder of the local cluster's state.
    pub fn local_folder(&self) -> Result<PathBuf> {
        Ok(self.skiff_home.join("local").join(self.local_name()?))
    }

    /// The API server's address and port.
    pub fn server(&self) -> Result<String> {
        let url = self
            .cluster()?
            .server
            .clone()
            .context("the cluster has no server")?;
        let address = url.trim_start_matches("https://").trim_end_matches('/');
        if address.contains('/') {
            bail!("the server's URL {url} has a path");
        }
        Ok(address.to_owned())
    }

    /// The kubeconfig for a namespace, its files named by their whole paths. Other contexts are left out.
    pub fn kubeconfig_for(&self, namespace: &str) -> Result<Kubeconfig> {
        let mut kubeconfig = self.kubeconfig.clone();
        kubeconfig
            .contexts
            .retain(|context| context.name == self.context);
        let context = kubeconfig
            .contexts
            .first_mut()
            .and_then(|named| named.context.as_mut());
        context
            .context("the kubeconfig has no such context")?
            .namespace = Some(namespace.to_owned());
        kubeconfig.current_context = Some(self.context.clone());
        Ok(kubeconfig)
    }

    /// The program with the administrator's own surroundings, for `skiff local`.
    pub fn administrator(&self) -> Program {
        let folder = self.kubeconfig_path.parent().unwrap_or(Path::new("/"));
        let home = std::env::var_os("HOME").unwrap_or_default();
        Program::new(&self.skiff, folder)
            .with("HOME", home)
            .with("SKIFF_HOME", &self.skiff_home)
            .with("KUBECONFIG", &self.kubeconfig_path)
    }

    /// Brings the images of an archive to the local cluster.
    pub async fn load(&self, archive: &Path) -> Result<()> {
        let (name, archive) = (self.local_name()?, archive.to_string_lossy());
        let words = ["local", "load", "--name", name, &archive];
        self.administrator().run(&words).await.code(0);
        Ok(())
    }

    /// Starts whatever of the local cluster does not run.
    pub async fn bring_up(&self) -> Result<Finished> {
        let words = ["local", "up", "--name", self.local_name()?, "--no-egress"];
        Ok(self.administrator().within(START).run(&words).await)
    }

    fn cluster(&self) -> Result<&kube::config::Cluster> {
        let named = self
            .kubeconfig
            .contexts
            .iter()
            .find(|named| named.name == self.context);
        let context = named
            .and_then(|named| named.context.as_ref())
            .context("the kubeconfig has no such context")?;
        let cluster = self
            .kubeconfig
            .clusters
            .iter()
            .find(|named| named.name == context.cluster);
        cluster
            .and_then(|named| named.cluster.as_ref())
            .context("the kubeconfig has no such cluster")
    }
}
